"""The events that the adapters emit, as event classes: a page of them, their JSON Schemas, a check.

    audit-emit schema docs --module audit_emit.integrations.events
    configure(schemas=[*events.EVENTS, SecretSet])

Adapters emit them without these classes, which cost a request nothing. A field that is not known is
left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from audit_emit import Event, Field

__all__ = [
    "EVENTS",
    "GrpcRequest",
    "HttpRequest",
    "McpListed",
    "McpPromptRead",
    "McpResourceRead",
    "McpToolCalled",
    "ModelCreated",
    "ModelDeleted",
    "ModelUpdated",
    "TaskFinished",
    "ToolCalled",
    "WebsocketSession",
]

_Milliseconds = Annotated[float, Meta(ge=0, description="How long it took, in milliseconds.")]
_Error = Annotated[str, Meta(description="The type of the exception, never its message.")]
_Address = Annotated[
    str,
    Meta(description="Truncated to /24 or /48, unless the adapter was told otherwise."),
    Field(personal=True, ocsf="src_endpoint.ip"),
]
_ClientId = Annotated[str, Meta(description="The client's id of the request; only claimed.")]
_Agent = Annotated[str, Meta(max_length=256), Field(personal=True, ocsf="http_request.user_agent")]


class _Exchange(Event):
    path: Annotated[
        str, Meta(description="Without the query."), Field(ocsf="http_request.url.path")
    ]
    outcome: Literal["success", "denied", "failure", "aborted", "cancelled"]
    duration_ms: _Milliseconds
    route: Annotated[str, Meta(description="The template of the path.")] | UnsetType = UNSET
    status: Annotated[int, Meta(description="Of the response.")] | UnsetType = UNSET
    error: _Error | UnsetType = UNSET
    client_ip: _Address | UnsetType = UNSET
    user_agent: _Agent | UnsetType = UNSET
    client_request_id: _ClientId | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET


class HttpRequest(_Exchange, type="http.request"):
    """A request over HTTP was answered, or was not."""

    method: Annotated[str, Field(ocsf="http_request.http_method")]
    bytes: Annotated[int, Meta(ge=0, description="Of the body.")] | UnsetType = UNSET


class WebsocketSession(_Exchange, type="websocket.session"):
    """A websocket was closed, or refused."""

    messages_in: Annotated[int, Meta(ge=0)]
    messages_out: Annotated[int, Meta(ge=0)]
    code: Annotated[int, Meta(description="Of the close.")] | UnsetType = UNSET


class GrpcRequest(Event, type="grpc.request"):
    """A call over gRPC has ended."""

    service: str
    method: str
    kind: Literal["unary_unary", "unary_stream", "stream_unary", "stream_stream", "unknown"]
    code: Annotated[str, Meta(description="The status, such as OK or DEADLINE_EXCEEDED.")]
    outcome: Literal["success", "denied", "cancelled", "failure"]
    duration_ms: _Milliseconds
    deadline_ms: (
        Annotated[float, Meta(ge=0, description="What was left for the call when it began.")]
        | UnsetType
    ) = UNSET
    error: _Error | UnsetType = UNSET
    messages_out: int | UnsetType = UNSET
    client_ip: _Address | UnsetType = UNSET
    client_request_id: _ClientId | UnsetType = UNSET


class TaskFinished(Event, type="task.finished"):
    """A task of a queue has ended, or one try of it (Celery, dramatiq, RQ)."""

    task: str
    task_id: str
    outcome: Annotated[
        str,
        Meta(
            description="success, failure, retry, ignored, rejected, cancelled (revoked) or "
            "aborted (its process was killed)."
        ),
    ]
    queue: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    error: _Error | UnsetType = UNSET
    retries: int | UnsetType = UNSET
    redelivered: bool | UnsetType = UNSET
    duration_ms: _Milliseconds | UnsetType = UNSET
    context: Literal["signed", "claimed", "refused"] | UnsetType = UNSET


class _Change(Event):
    model: str
    changes: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="By field: before and after; added and removed of a many-to-many field."),
    ]
    via: Annotated[str, Meta(description="By which call, such as save, update or flush.")]
    pk: Any = UNSET
    rows: Annotated[int, Meta(description="Instead of pk: how many.")] | UnsetType = UNSET
    unsure: Annotated[bool, Meta(description="A value is an expression.")] | UnsetType = UNSET


class ModelCreated(_Change, type="model.created"):
    """A row of a tracked model is there."""


class ModelUpdated(_Change, type="model.updated"):
    """A row of a tracked model was changed."""


class ModelDeleted(_Change, type="model.deleted"):
    """A row of a tracked model is gone."""


class _Mcp(Event):
    request_id: str
    outcome: Literal["success", "failure", "cancelled"]
    duration_ms: _Milliseconds
    error: _Error | UnsetType = UNSET
    client_id: Annotated[str, Meta(description="Of the verified token.")] | UnsetType = UNSET
    client: Annotated[str, Meta(description="As the client says it.")] | UnsetType = UNSET
    session: Annotated[str, Meta(description="A hash of the id.")] | UnsetType = UNSET


class McpToolCalled(_Mcp, type="mcp.tool_called"):
    """A tool of an MCP server was called."""

    tool: str
    arguments: Annotated[Any, Meta(description="Secrets redacted.")] = UNSET


class McpResourceRead(_Mcp, type="mcp.resource_read"):
    """A resource of an MCP server was read."""

    resource: str


class McpPromptRead(_Mcp, type="mcp.prompt_read"):
    """A prompt of an MCP server was read."""

    prompt: str
    arguments: Annotated[Any, Meta(description="Secrets redacted.")] = UNSET


class McpListed(_Mcp, type="mcp.listed"):
    """What an MCP server has was listed."""

    method: str


class ToolCalled(Event, type="agent.tool_called"):
    """An agent has called a tool (LangChain)."""

    request_id: Annotated[str, Meta(description="Of the run.")]
    outcome: Literal["success", "failure", "cancelled"]
    duration_ms: _Milliseconds
    tool: str | UnsetType = UNSET
    arguments: Annotated[Any, Meta(description="Secrets redacted.")] = UNSET
    error: _Error | UnsetType = UNSET


EVENTS: list[type[Event]] = [
    HttpRequest,
    WebsocketSession,
    GrpcRequest,
    TaskFinished,
    ModelCreated,
    ModelUpdated,
    ModelDeleted,
    McpToolCalled,
    McpResourceRead,
    McpPromptRead,
    McpListed,
    ToolCalled,
]
"""Every one, for ``configure(schemas=EVENTS)``. Signing in and out (``auth.*``) is not among them:
applications emit events of those names, too, with fields of their own."""
