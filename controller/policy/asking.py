"""What is asked or told over HTTP, and the secrets that say who asks."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from controller.policy.values import Duration, Header, Model, Path, Text, Url


class Secret(Model, frozen=True, kw_only=True):
    """A secret, read each time that it is needed, from `env` or `file`."""

    env: Annotated[Text | None, Meta(description="Environment variable that holds the secret")] = (
        None
    )
    file: Annotated[
        Path | None, Meta(description="File that holds the secret, beside the policy")
    ] = None


class Auth(Secret, frozen=True, kw_only=True):
    """A secret that says who asks, read each time from `env` or `file`: a bearer token, with
    `user` a password, with `header` the whole value of that header."""

    user: Annotated[
        Text | None, Meta(description="Name of the user; the secret is the password")
    ] = None
    header: Annotated[
        Header | None, Meta(description="Header that takes the secret as it is, such as X-Api-Key")
    ] = None


class Asked(Model, frozen=True, kw_only=True):
    """What all that is asked over HTTP has in common."""

    url: Annotated[Url, Meta(description="Where it is; http or https, without user and password")]
    headers: Annotated[
        dict[Header, Text], Meta(description="Headers to send with every question")
    ] = {}
    auth: Annotated[Auth | None, Meta(description="How it knows who asks")] = None
    timeout: Annotated[
        Duration,
        Meta(
            description="How long one look may take, all its questions and retries included; what "
            "has no answer by then is an error"
        ),
    ] = timedelta(seconds=10)
    retries: Annotated[
        int,
        Meta(ge=0, le=10, description="How often a question that met trouble is asked again"),
    ] = 2
