"""What a policy publishes to: files, flags, balancers, webhooks and configurations."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from controller.policy.asking import Asked, Secret
from controller.policy.values import (
    Duration,
    Model,
    Path,
    Percent,
    ProxyName,
    Query,
    Servers,
    Url,
)


class FilePublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """The share as a small JSON file, replaced atomically and read back."""

    type: ClassVar[Literal["file"]] = "file"

    path: Annotated[Path, Meta(description="The file to write, beside the policy")]


class ConfigPublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="config"):
    """The effective configuration: the file of the version in charge, copied byte for byte."""

    type: ClassVar[Literal["config"]] = "config"

    path: Annotated[Path, Meta(description="The file to write, beside the policy")]


class FlagdPublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="flagd"):
    """The share as a flag definition for flagd and its OpenFeature providers, written like the
    file. The flag's key is the layer, its value the name of the version that acts."""

    type: ClassVar[Literal["flagd"]] = "flagd"

    path: Annotated[Path, Meta(description="The file to write, beside the policy")]


MOST_WEIGHT = 256
"""The weights of HAProxy's servers are whole numbers of 0 to this."""


class HaproxyPublisher(Model, frozen=True, kw_only=True, tag_field="type", tag="haproxy"):
    """The share as weights of HAProxy's servers, set through its runtime API and read back from
    what HAProxy itself reports. At 0% the candidate's servers are in maintenance as well."""

    type: ClassVar[Literal["haproxy"]] = "haproxy"

    socket: Annotated[
        Path,
        Meta(
            description="Its `stats socket ... level admin`: a path, or HOST:PORT",
            examples=["/run/haproxy/admin.sock", "127.0.0.1:9999"],
        ),
    ]
    backend: Annotated[ProxyName, Meta(description="The backend that has the servers")]
    baseline: Annotated[Servers, Meta(description="Names of the baseline's servers")]
    candidate: Annotated[Servers, Meta(description="Names of the candidate's servers")]
    timeout: Annotated[
        Duration, Meta(description="How long one delivery may take, reading back included")
    ] = timedelta(seconds=2)


class ReadBack(Model, frozen=True, kw_only=True):
    """Where and how a receiver shows the share that it serves. Nothing is acknowledged before it
    shows the one that was asked for."""

    url: Annotated[Url, Meta(description="Got by GET; JSON. Headers and auth are the webhook's")]
    share: Annotated[
        Query, Meta(description="JMESPath of the candidate's share in it: a number")
    ] = "share"
    whole: Annotated[
        float, Meta(gt=0, le=1e9, description="That number when the candidate has all the work")
    ] = 100
    within: Annotated[
        Percent | None,
        Meta(
            description="How far it may be from what was asked for, where the receiver is coarse. "
            "0% and 100% are exact all the same"
        ),
    ] = None
    mirror: Annotated[
        Query | None,
        Meta(
            description="JMESPath of whether the candidate sees all work: true or false. Without "
            "it this target mirrors nothing"
        ),
    ] = None


class WebhookPublisher(Asked, frozen=True, kw_only=True, tag_field="type", tag="webhook"):
    """The share as a signed CloudEvent, sent by POST, to whatever routes the work; read back from
    what it reports. Sent again under the same id until it is."""

    type: ClassVar[Literal["webhook"]] = "webhook"

    secret: Annotated[Secret, Meta(description="What the event is signed with (HMAC-SHA256)")]
    read: Annotated[ReadBack, Meta(description="How the share is read back")]
    timeout: Annotated[
        Duration,
        Meta(description="How long one delivery may take, retries and reading back included"),
    ] = timedelta(seconds=10)


Publisher = FilePublisher | ConfigPublisher | FlagdPublisher | HaproxyPublisher | WebhookPublisher
FILE_PUBLISHERS = (FilePublisher, ConfigPublisher, FlagdPublisher)
"""Those that write to a `path`."""
SHARE_PUBLISHERS = (FilePublisher, FlagdPublisher, HaproxyPublisher, WebhookPublisher)
"""Those that are told the share."""
LIVE_PUBLISHERS = (HaproxyPublisher, WebhookPublisher)
"""Those that others may change or restart: what they serve is read back at every look."""
