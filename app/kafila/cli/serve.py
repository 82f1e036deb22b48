"""``kafila serve``: its flags are the fields of the settings."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from cyclopts import Parameter

from kafila.settings.settings import Settings

from . import given


def serve(**values: Any) -> None:
    """Serve the control plane until SIGTERM. Every flag can also be given as KAFILA_NAME in the environment."""
    from kafila.telemetry.logs import configure  # noqa: I001  first: whoever imports structlog before it pays for rich

    from kafila.workers.serve import run

    from .starting import check_files, listen, settings_of, starting

    settings = settings_of({name: values[name] for name in given.get()})
    configure(settings.log_level)
    check_files(settings)
    with starting(settings):
        run(settings, listen(settings))


def _signature() -> inspect.Signature:
    """What cyclopts reads flags from. What a value has to be is checked by the settings, for the environment as well."""
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[field.annotation, Parameter(help=field.description)],
            )
            for name, field in Settings.model_fields.items()
        ]
    )


serve.__signature__ = _signature()  # type: ignore[attr-defined]
