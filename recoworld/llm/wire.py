"""What goes over the wire to an OpenAI-compatible server and back: request bodies in its dialect, learnt from what it refuses."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from recoworld.llm.grammar import reply_regex
from recoworld.llm.model import Completion, Message, Prompt, Sampling, Schema, Usage

log = logging.getLogger("recoworld.llm")

LEVELS = ("regex", "json_schema", "json_object", "text")
"""How replies are held to a schema, strictest first: vLLM's grammar over a regular expression, which has no optional whitespace;
``response_format``; any JSON object, with the schema said in words; words alone."""
_OPTIONAL = {
    "logprobs": "replies come without log-probabilities",
    "return_token_ids": "replies come without token ids",
    "seed": "replies cannot be repeated without a record",
    "temperature": "it samples at a temperature of its own",
    "top_p": "it samples with a top_p of its own",
}
_REFUSAL = re.compile(r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|invalid|only the default")
_TOO_LONG = re.compile(r"context (length|window)|context_length_exceeded")
_ABOUT_SCHEMAS = re.compile(r"response_format|json_schema|json_object|structured|guided|grammar|regex|schema")


class Wire:
    """Bodies for one model of one server. `version` counts what was learnt, so that a body can be told to be out of date."""

    def __init__(self, model: str, structured: str = "auto") -> None:
        self.model, self.version = model, 0
        self._auto = structured == "auto"
        self._level = "json_schema" if self._auto else structured
        self._left_out = {"return_token_ids"}
        self._limit = "max_tokens"

    def use_vllm(self) -> None:
        """The server says that it is vLLM: it holds replies to regular expressions, and tells token ids."""
        self._level = "regex" if self._auto else self._level
        self._left_out.discard("return_token_ids")

    def body(self, prompt: Prompt, schema: Schema | None, sampling: Sampling) -> dict[str, Any]:
        """The request. Raises ConfigError for a schema outside the subset."""
        settings: dict[str, Any] = {
            self._limit: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": prompt.seed,
            "logprobs": True,
            "return_token_ids": True,
        }
        body = {"model": self.model, "messages": list(prompt.messages)} | {k: v for k, v in settings.items() if k not in self._left_out}
        if schema is None:
            return body
        pattern = reply_regex(schema)
        if self._level == "regex":
            body["structured_outputs"] = {"regex": pattern}
        elif self._level == "json_schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": strict(schema)}}
        else:
            if self._level == "json_object":
                body["response_format"] = {"type": "json_object"}
            body["messages"] = _told(prompt.messages, schema)
        return body

    def concede(self, refusal: str) -> bool:
        """Leave out, or say otherwise, what a refusal (400 or 422) is about; False if it is about nothing that can be left out."""
        text = refusal.lower()
        if "max_completion_tokens" in text and self._limit == "max_tokens":
            self._limit, found = "max_completion_tokens", "max_completion_tokens is sent for max_tokens"
        elif _TOO_LONG.search(text) and "max_" in text and self._limit not in self._left_out:
            self._left_out.add(self._limit)
            found = f"{self._limit} is left out: a reply may fill what the prompt leaves of the model's context"
        elif self._auto and self._level != LEVELS[-1] and _ABOUT_SCHEMAS.search(text):
            self._level = LEVELS[LEVELS.index(self._level) + 1]
            found = f"replies are held to schemas by {self._level}"
        elif _REFUSAL.search(text) and (names := [n for n in _OPTIONAL if re.search(rf"\b{n}\b", text) and n not in self._left_out]):
            self._left_out.add(names[0])
            found = f"{names[0]} is left out: {_OPTIONAL[names[0]]}"
        else:
            return False
        self.version += 1
        log.warning("model %s: the server refused what was asked, so %s", self.model, found)
        return True


def completion(reply: Mapping[str, Any]) -> Completion:
    """A reply of /chat/completions. Raises KeyError, IndexError, TypeError or ValueError for what is none."""
    choice, usage = reply["choices"][0], reply.get("usage") or {}
    content = (choice.get("logprobs") or {}).get("content")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return Completion(
        text=str(choice["message"].get("content") or ""),
        finish="length" if choice.get("finish_reason") == "length" else "stop",
        usage=Usage(prompt=usage.get("prompt_tokens") or 0, cached=cached or 0, completion=usage.get("completion_tokens") or 0),
        prompt_ids=_ids(reply.get("prompt_token_ids")),
        token_ids=_ids(choice.get("token_ids")),
        logprobs=None if content is None else tuple(float(token["logprob"]) for token in content),
    )


def strict(schema: Any) -> Any:
    """The schema as OpenAI's strict mode wants it: everything required, nothing else allowed."""
    if isinstance(schema, list | tuple):
        return [strict(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    out = {key: strict(value) for key, value in schema.items()}
    if out.get("type") == "object" and isinstance(out.get("properties"), dict):
        out |= {"required": list(out["properties"]), "additionalProperties": False}
    return out


def _told(messages: Sequence[Message], schema: Schema) -> list[Message]:
    """The messages, of which the last says the schema too."""
    words = f"Reply with one line of JSON that holds to this schema, and with nothing else: {json.dumps(schema, ensure_ascii=False)}"
    *before, last = messages
    content = last["content"]
    content = f"{content}\n\n{words}" if isinstance(content, str) else [*content, {"type": "text", "text": words}]
    return [*before, {**last, "content": content}]


def _ids(ids: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if ids is None else tuple(map(int, ids))
