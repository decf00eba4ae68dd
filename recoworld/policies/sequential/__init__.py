"""Models that learn which item comes next, in torch of our own: GRU4Rec, SASRec and, without order, BPR."""
