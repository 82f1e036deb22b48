"""References of container images, taken apart and put together: ``registry/repository:tag@digest``, the last two optional."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_DOMAIN_PART: Final = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN: Final = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH_PART: Final = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME: Final = rf"(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*"
_TAG: Final = r"\w[\w.-]{0,127}"
_DIGEST: Final = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE: Final = re.compile(rf"({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_TAG_ALONE: Final = re.compile(_TAG, re.ASCII)
_DIGEST_ALONE: Final = re.compile(_DIGEST, re.ASCII)
_MOST_NAME_CHARACTERS: Final = 255


class ImageError(ValueError):
    """The text is no reference of an image."""


@dataclass(slots=True)
class Image:
    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        return self.tag or self.digest

    @version.setter
    def version(self, text: str) -> None:
        """A tag or a digest, whichever the text looks like; ignored when it is neither.

        A new tag with the digest of the old one would be the old image still: the digest goes with it.
        """
        if not text:
            self.tag, self.digest = ("", self.digest) if self.tag else ("", "")
        elif _TAG_ALONE.fullmatch(text):
            self.tag, self.digest = text, ""
        elif _DIGEST_ALONE.fullmatch(text):
            self.tag, self.digest = (self.tag if self.digest else ""), text

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}" if self.registry else self.repository
        if self.tag:
            name += f":{self.tag}"
        return f"{name}@{self.digest}" if self.digest else name


def parse_image(text: str) -> Image:
    """Raises ImageError."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        if not text:
            raise ImageError("repository name must have at least one component")
        if _REFERENCE.fullmatch(text.lower()):
            raise ImageError("repository name must be lowercase")
        raise ImageError("invalid reference format")
    name, tag, digest = found.groups()
    registry, slash, repository = name.partition("/")
    if not slash or not (set(".:") & set(registry) or registry == "localhost"):
        registry, repository = "", name
    if len(repository) > _MOST_NAME_CHARACTERS:
        raise ImageError(f"repository name must not be more than {_MOST_NAME_CHARACTERS} characters")
    return Image(registry, repository, tag or "", digest or "")


def override_image(text: str, component: str, operator: str, value: str) -> str:
    """Change one component ("Registry", "Repository" or "Tag"): "add" appends, "replace" sets, "remove" empties it."""
    try:
        image = parse_image(text)
    except ImageError as error:
        raise ImageError(f"failed to parse image value({text}), error: {error}") from None
    attribute = {"Registry": "registry", "Repository": "repository", "Tag": "version"}.get(component)
    if attribute is None:
        raise ImageError(f"unsupported image component({component})")
    if operator == "add":
        setattr(image, attribute, getattr(image, attribute) + value)
    elif operator == "replace":
        if value or attribute != "version":
            setattr(image, attribute, value)
    elif operator == "remove":
        setattr(image, attribute, "")
    return str(image)
