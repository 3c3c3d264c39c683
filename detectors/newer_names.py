"""Names of a newer release in what is read: readings and indications that are not in this release's catalogues.

During an upgrade workers of two releases share the topics. What a newer one measured beyond this release's catalogues
is left out, as if nobody had measured: a missing reading lowers a verdict and never raises one. The rest of a
nameless item is checked as strictly as any other, and only a reader that asks for the names is that lenient.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

from config.strict_json import UnknownName

#: Key of the validation context under which a lenient reader has its set of names.
NEWER_NAMES = "newer_names"

T = TypeVar("T")


def _known(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """The item, None for one that is right but for its name."""
    try:
        return handler(value)
    except ValidationError as error:
        names: set[str] | None = (info.context or {}).get(NEWER_NAMES)
        unknown = _unknown_name(error)
        if unknown is None or names is None:
            raise
        names.add(unknown)
        return None


def _unknown_name(error: ValidationError) -> str | None:
    """Name at fault where nothing else is: the rule about names is the last that is checked."""
    (first, *more) = error.errors(include_input=False, include_url=False)
    cause = first.get("ctx", {}).get("error")
    return cause.name if isinstance(cause, UnknownName) and not more else None


def _without_unknown(items: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(item for item in items if item is not None)


#: Item of a tuple that may have a newer name, and the tuple of such items.
MaybeNewer = Annotated[T, WrapValidator(_known)]
WithoutNewer = AfterValidator(_without_unknown)
