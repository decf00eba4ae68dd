"""What an agentic recommender can do: tools over a catalogue, described in OpenAI's tool schema, and the reading of what a model says.

    toolbox = Toolbox(dataset, split, rankers={"ease": fitted})
    toolbox.schemas                                          # tuple of dicts, for a chat API or for a system message
    reply = parsed(text)                                     # or a chat message with tool_calls
    for call in reply.calls[:1]:
        toolbox.call(call.tool, call.arguments, view)        # text for the model, never an exception
    toolbox.picked(call.arguments, view)                     # what `recommend` would show: item indices, or what is wrong

view: what a recommender may see of one user: one row of `recoworld.envs.codec.observe`, ``{key: value[row]}``, or what
`recoworld.envs.slate.SlateEnv` gives. The number of slots is that of ``view["slate"]``.

| tool | arguments | tells |
|---|---|---|
| search | query, by ("words", "meaning"), limit | items by BM25, or by likeness to the query |
| similar | item, limit | items like one |
| lookup | items | all that is known of each |
| top | genre, era, popularity, limit | the best known unmet items of a sort |
| user_history | which ("liked", "disliked", "session", "all"), limit | what the user met, latest first |
| rank | by (a ranker's name), items, limit | items in the order of a classic policy; there where `rankers` has any |
| recommend | items, message | what would be shown; an environment shows it |

Items are named by id or title. `Toolbox.answer` is `call` with a flag that tells a mistake from a result; a mistake's text says what was
got, what was expected, and what was perhaps meant. Titles are untrusted: they come cleaned and in quotation marks.
"""

from recoworld.tools.replies import Call, Reply, parsed
from recoworld.tools.toolbox import Answer, Picked, Toolbox

__all__ = ["Answer", "Call", "Picked", "Reply", "Toolbox", "parsed"]
