"""Endpoints: which model answers (identity, part of every reply's key) and how it is reached (a fact of the run)."""

from typing import Literal

from pydantic import Field, model_validator

from mmevol.config.section import Fraction, Section
from mmevol.records import digest


class Faults(Section):
    """Rates at which the embedded teacher spoils replies, each 0..1, drawn from request and attempt."""

    seed: int = 0
    malformed_json: Fraction = 0
    truncated_json: Fraction = 0
    invented_box: Fraction = 0
    invented_object: Fraction = 0
    unimproved_copy: Fraction = 0
    wrong_count: Fraction = 0
    refusal: Fraction = 0
    answerable_blind: Fraction = 0
    judge_wrong: Fraction = 0
    http_429: Fraction = 0
    http_500: Fraction = 0
    hang: Fraction = 0
    drop: Fraction = 0


class Prices(Section):
    """Money for a million tokens, in ``currency``."""

    input: float = Field(default=0, ge=0)
    cached_input: float = Field(default=0, ge=0)
    output: float = Field(default=0, ge=0)
    currency: str = "USD"


class Identity(Section):
    """What of an endpoint shapes its answers: part of every reply's key. Never URL or port."""

    provider: str = "embedded"
    model: str = "symbolic-v1"
    revision: str = ""
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=2048, gt=0)
    seed: int | None = None
    sees_images: bool = True
    image_side: int = Field(default=512, gt=0, description="longest side in px that is sent")
    image_detail: Literal["low", "high", "auto"] = "low"
    box_dialect: Literal["unit", "permille", "pixels"] = "unit"
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class Connection(Section):
    """How an endpoint is reached: changes no data and triggers no rerun."""

    launch: Literal["embedded"] | None = None
    base_url: str | None = None
    api_key_env: str | None = Field(default=None, description="name of the environment variable that holds the key")
    allow_http: bool = Field(default=False, description="send the key over plain http to a host that is not loopback")
    concurrency: int = Field(default=32, gt=0)
    requests_per_minute: int | None = Field(default=None, gt=0)
    tokens_per_minute: int | None = Field(default=None, gt=0)
    timeout: float = Field(default=120, gt=0, description="seconds for one request")
    patience: float = Field(default=600, gt=0, description="seconds without any answer after which the job gives up")
    prices: Prices = Prices()
    faults: Faults | None = Field(default=None, description="of the embedded teacher")


class Endpoint(Identity, Connection):
    """A model behind the OpenAI protocol: identity and connection in one block."""

    @model_validator(mode="after")
    def _reachable(self) -> "Endpoint":
        if (self.launch is None) == (self.base_url is None):
            raise ValueError("give exactly one of launch: embedded and base_url: https://…/v1")
        if self.faults and self.launch != "embedded":
            raise ValueError("faults belong to launch: embedded only")
        return self

    def identity(self) -> Identity:
        """The part that keys replies; the digest of the fault config is part of the embedded model's name."""
        known = {k: v for k, v in self.model_dump(exclude_defaults=True).items() if k in Identity.model_fields}
        if self.faults and self.faults != Faults():
            known["model"] = f"{self.model}+faults.{digest(self.faults.dump())[:8]}"
        if self.base_url and "provider" not in known:
            known["provider"] = "openai-compatible"
        return Identity(**known)

    def connection(self) -> Connection:
        """The part that is a fact of the run."""
        return Connection(
            **{k: v for k, v in self.model_dump(exclude_defaults=True).items() if k in Connection.model_fields}
        )
