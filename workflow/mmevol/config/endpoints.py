"""Endpoints: which model answers (identity, part of every reply's key) and how it is reached (a fact of the run)."""

from string import Template
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from mmevol.config.section import Fraction, Section
from mmevol.records import digest


class Faults(Section):
    """Rates at which the embedded teacher spoils replies, each 0..1, drawn from request and attempt."""

    seed: int = Field(default=0, description="draws other faults at the same rates")
    malformed_json: Fraction = Field(default=0, description="replies whose JSON is broken")
    truncated_json: Fraction = Field(default=0, description="replies that are cut")
    invented_box: Fraction = Field(default=0, description="items with a box that is not annotated")
    invented_object: Fraction = Field(default=0, description="items about a thing that is not there")
    unimproved_copy: Fraction = Field(default=0, description="items that only repeat their parent")
    wrong_count: Fraction = Field(default=0, description="items with a wrong number")
    refusal: Fraction = Field(default=0, description="replies that refuse")
    answerable_blind: Fraction = Field(default=0, description="items that give their answer away")
    judge_wrong: Fraction = Field(default=0, description="verdicts turned round")
    http_429: Fraction = Field(default=0, description="requests told to wait, with Retry-After")
    http_500: Fraction = Field(default=0, description="requests that fail")
    hang: Fraction = Field(default=0, description="requests that are never answered: each costs `timeout` seconds")
    drop: Fraction = Field(default=0, description="connections that break off")


class ImageTokens(Section):
    """How many prompt tokens the provider counts for a picture. The defaults are OpenAI's for gpt-4o and its like."""

    base: int = Field(default=85, ge=0, description="of every picture; with `tile: 0` a constant. gpt-4o-mini: 2833")
    tile: int = Field(
        default=170,
        ge=0,
        description="of each 512 px tile, unless `image_detail` is low; counted after OpenAI's own resize. gpt-4o-mini: 5667",
    )
    patch: int | None = Field(
        default=None,
        gt=0,
        description="side in px of a patch that is one token, in place of tiles (28 for Qwen2-VL and Qwen2.5-VL)",
    )


class Prices(Section):
    """Money for a million tokens, in ``currency``, and how pictures count. Only sums are made with it; it changes no data."""

    input: float = Field(default=0, ge=0, description="of prompt tokens")
    cached_input: float | None = Field(
        default=None, ge=0, description="of prompt tokens that the provider had cached; unset: as `input`"
    )
    output: float = Field(default=0, ge=0, description="of completion tokens")
    batch: float = Field(default=1, ge=0, le=1, description="part of the price that batches cost; 0.5 at OpenAI")
    currency: str = Field(default="USD", description="name of the money; nothing is converted")
    image: ImageTokens = ImageTokens()

    @property
    def cached(self) -> float:
        """Of prompt tokens that the provider had cached."""
        return self.input if self.cached_input is None else self.cached_input


class Limits(Section):
    """What the provider allows in a minute. The jobs that run at once on one machine share it evenly."""

    requests_per_minute: float | None = Field(
        default=None, gt=0, description="of your account with this model; unset: no limit but `concurrency`"
    )
    tokens_per_minute: float | None = Field(
        default=None, gt=0, description="prompt and completion; what a request will need is estimated from those before"
    )


class Identity(Section):
    """What of an endpoint shapes its answers: part of every reply's key. Never URL or port.

    A key that was added later is left out of dumps at its default (``exclude_if``): older answers keep their keys.
    """

    provider: str = Field(
        default="embedded",
        description="who serves the model; set it apart where two serve other weights under one name",
    )
    model: str = Field(
        default="symbolic-v1",
        description="name as the server knows it; pin a dated snapshot where there is one, an alias may change its weights",
    )
    revision: str = Field(
        default="",
        description="what the name leaves open (commit, quantisation); another revision asks everything anew",
    )
    temperature: float | None = Field(
        default=1.0,
        ge=0,
        le=2,
        description="0 for a judge; 1 for an evolver, which should not write the same twice; null sends none: some refuse it",
    )
    top_p: float | None = Field(default=1.0, gt=0, le=1, description="nucleus sampling; null sends none")
    reasoning_effort: str | None = Field(
        default=None,
        min_length=1,
        exclude_if=lambda effort: effort is None,
        description="of a model that thinks first: `low`, `medium` … as the server spells it; null sends none",
    )
    max_tokens: int = Field(
        default=2048,
        gt=0,
        description="of a reply, thinking included: 8192 for one that thinks; a cut reply is asked anew with up to 8 times as many",
    )
    seed: int | None = Field(default=None, description="sent along; whether it helps is the server's affair")
    sees_images: bool = Field(
        default=True, description="false for a text-only model: captions and boxes alone are sent"
    )
    images: Literal["inline", "url"] = Field(
        default="inline",
        exclude_if=lambda images: images == "inline",
        description="`inline` sends pictures as JPEG, made smaller; `url` their addresses: the server takes the files as they are",
    )
    image_side: int = Field(default=512, gt=0, description="longest side in px that is sent inline")
    image_detail: Literal["low", "high", "auto"] = Field(
        default="low", description="as the OpenAI protocol calls it; `low` is the reference's"
    )
    box_dialect: Literal["unit", "permille", "pixels"] = Field(
        default="unit", description="numbers that the model was trained on: fractions, 0 to 1000, or pixels"
    )
    structured: Literal["json_schema", "json_object", "none"] = Field(
        default="json_schema", description="how JSON is demanded; take the first that the server supports"
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="newer OpenAI models want the second"
    )


class Batch(Section):
    """How requests travel in batches (OpenAI's Batch API)."""

    poll: float = Field(default=30, gt=0, description="seconds between two looks at a batch")
    window: str = Field(default="24h", description="completion window that is asked for; OpenAI has only this one")
    max_rows: int = Field(default=50_000, gt=0, description="requests of one file; OpenAI takes 50,000")
    max_bytes: int = Field(
        default=200_000_000, gt=0, description="of one file; OpenAI takes 200 MB, which with pictures decide"
    )
    records: int = Field(
        default=1000,
        gt=0,
        description="records of a job that are worked on at a time: more make fewer, larger batches and take more memory",
    )
    patience: float = Field(
        default=86_400, gt=0, description="seconds to wait for room when the account's enqueued tokens are used up"
    )


class Serve(Section):
    """A server of your own that jobs start on the machine that they run on, share, and stop when nobody uses it any longer."""

    command: str = Field(
        description="its command line, without a shell, to listen on 127.0.0.1; `$model`, `$revision`, `$port`, `$gpus` (those of "
        "the allocation) and `$python` are filled in, `$$` is a dollar"
    )
    token_env: str | None = Field(
        default=None, description="variable in which it takes the key that clients must send: VLLM_API_KEY"
    )
    gpus: int = Field(default=1, ge=0, description="that a job asks for; 0: it runs on the CPU")
    cpus: int = Field(default=4, gt=0, description="cores that a job asks for, beside its own")
    mem_gb: float = Field(default=32, gt=0, description="that a job asks for, beside its own")
    ready: float = Field(default=900, gt=0, description="seconds that a job waits until it answers")
    idle: float = Field(default=120, ge=0, description="seconds that it is kept for the next job")

    @field_validator("command")
    @classmethod
    def _known(cls, command: str) -> str:
        names, known = Template(command).get_identifiers(), {"model", "revision", "port", "gpus", "python"}
        if not Template(command).is_valid() or set(names) - known or "port" not in names:
            raise ValueError("a command with $port; besides it may hold $model, $revision, $gpus, $python")
        return command


class Connection(Section):
    """How an endpoint is reached: changes no data and triggers no rerun."""

    launch: Literal["embedded"] | None = Field(
        default=None, description="`embedded` starts the project's own teacher, on loopback, for the life of a job"
    )
    serve: Serve | None = Field(
        default=None,
        description="starts this server where the jobs run, once for all that run at once, in place of `base_url`",
    )
    mode: Literal["online", "batch"] = Field(
        default="online", description="`batch` sends files of requests and waits: slower, at a part of the price"
    )
    batch: Batch = Batch()
    base_url: str | None = Field(default=None, description="of an OpenAI-compatible server, up to and with `/v1`")
    api_version: str | None = Field(
        default=None, min_length=1, description="sent as `?api-version=`: dated versions of Azure OpenAI want it"
    )
    api_key_env: str | None = Field(default=None, description="name of the environment variable that holds the key")
    api_key_header: str = Field(
        default="Authorization",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="header of the key: `Bearer KEY` in `Authorization`, the bare key in any other (`api-key` for Azure)",
    )
    allow_http: bool = Field(default=False, description="send the key over plain http to a host that is not loopback")
    images_base_url: str | None = Field(
        default=None,
        description="with `images: url`, where the server finds `seeds.images_root`: `https://…` or `file:///…`",
    )
    concurrency: int = Field(
        default=32,
        gt=0,
        description="requests in flight from one machine, shared by the jobs that run at once; lowered by itself while the "
        "server answers 429 or 503",
    )
    limits: Limits = Limits()
    timeout: float = Field(default=120, gt=0, description="seconds for one request")
    patience: float = Field(default=600, gt=0, description="seconds without any answer after which the job gives up")
    transport_attempts: int = Field(
        default=50,
        gt=0,
        description="times that one request is sent while others are answered, before the job gives up",
    )
    prices: Prices = Prices()
    faults: Faults | None = Field(default=None, description="of the embedded teacher")

    @field_validator("base_url")
    @classmethod
    def _bare(cls, url: str | None) -> str | None:
        """No key in a URL: it would stand in messages and facts of the run."""
        parts = urlsplit(url or "https://host")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("https://… or http://…")
        if "@" in (url or "") or parts.query or parts.fragment:
            raise ValueError("an address alone: keys go by api_key_env, the version by api_version")
        return url

    def billed(self) -> "Connection":
        """With the prices that its mode pays."""
        if self.mode == "online":
            return self
        p = self.prices
        part = {"input": p.input * p.batch, "cached_input": p.cached * p.batch, "output": p.output * p.batch}
        return self.model_copy(update={"prices": p.model_copy(update=part)})


class Endpoint(Identity, Connection):
    """A model behind the OpenAI protocol: identity and connection in one block."""

    @model_validator(mode="after")
    def _reachable(self) -> "Endpoint":
        if sum(way is not None for way in (self.launch, self.base_url, self.serve)) != 1:
            raise ValueError("give exactly one of launch: embedded, base_url: https://…/v1 and serve")
        if self.serve and (self.mode == "batch" or self.api_key_env):
            raise ValueError("serve goes without mode: batch, and makes its key itself (serve.token_env)")
        if self.faults and self.launch != "embedded":
            raise ValueError("faults belong to launch: embedded only")
        if (self.images == "url") != (self.images_base_url is not None):
            raise ValueError("images: url and images_base_url go together")
        return self

    def identity(self) -> Identity:
        """The part that keys replies; the digest of the fault config is part of the embedded model's name."""
        known = {k: v for k, v in self.model_dump(exclude_defaults=True).items() if k in Identity.model_fields}
        if self.faults and self.faults != Faults():
            known["model"] = f"{self.model}+faults.{digest(self.faults.dump())[:8]}"
        if self.launch is None and "provider" not in self.model_fields_set:
            known["provider"] = "openai-compatible"
        return Identity(**known)

    def connection(self) -> Connection:
        """The part that is a fact of the run."""
        return Connection(
            **{k: v for k, v in self.model_dump(exclude_defaults=True).items() if k in Connection.model_fields}
        )
