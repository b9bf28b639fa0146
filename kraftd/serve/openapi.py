"""The OpenAPI description beside the documents: the parameters of each route, and its problems."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class NoParameters(BaseModel):
    """The query of a route without parameters."""

    model_config = ConfigDict(extra="forbid")


NoQuery = Annotated[NoParameters, Query()]


class ReadyQuery(NoParameters):
    """The query of ``/readyz``."""

    fresh: Annotated[Literal["1"] | None, Field(description="Answer from an observation that begins now.")] = None


class HealthQuery(NoParameters):
    """The query of ``/health``."""

    strict: Annotated[bool, Field(description="Answer 503 also when the cluster is degraded or unsupervised.")] = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem, in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


Responses = dict[int | str, dict[str, Any]]


def problems(**details: str) -> Responses:
    """Return the descriptions of the problems of a route: ``status_404="No such broker."``; 421 is every route's."""
    described = {**details, "status_421": "This name is not served here."}
    return {
        int(name.removeprefix("status_")): {
            "description": text,
            "content": {"application/problem+json": {"schema": TypeAdapter(Problem).json_schema()}},
        }
        for name, text in described.items()
    }
