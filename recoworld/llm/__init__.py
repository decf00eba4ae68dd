"""Language models: two methods over batches (`recoworld.llm.model`), one backend a file, replies kept for good (`recoworld.llm.record`)."""
