import pytest

from kafila.placement.override.images import ImageError, override_image, parse_image

DIGEST = "sha256:" + "5" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", ("", "nginx", "", "")),
        ("nginx:1.2", ("", "nginx", "1.2", "")),
        ("library/nginx", ("", "library/nginx", "", "")),
        ("localhost/nginx", ("localhost", "nginx", "", "")),
        ("quay.io/a/b:v1", ("quay.io", "a/b", "v1", "")),
        ("host:5000/a@" + DIGEST, ("host:5000", "a", "", DIGEST)),
        ("quay.io/a:v1@" + DIGEST, ("quay.io", "a", "v1", DIGEST)),
    ],
)
def test_parts(text: str, expected: tuple[str, str, str, str]) -> None:
    image = parse_image(text)
    assert (image.registry, image.repository, image.tag, image.digest) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "repository name must have at least one component"),
        ("Nginx", "repository name must be lowercase"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
    ],
)
def test_texts_that_are_no_image(text: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        parse_image(text)


@pytest.mark.parametrize(
    ("component", "operator", "value", "expected"),
    [
        ("Registry", "replace", "test.io", "test.io/a/b:v1"),
        ("Registry", "add", ".cn", "quay.io.cn/a/b:v1"),
        ("Registry", "remove", "", "a/b:v1"),
        ("Repository", "replace", "c", "quay.io/c:v1"),
        ("Repository", "add", "/x", "quay.io/a/b/x:v1"),
        ("Repository", "remove", "", "quay.io/:v1"),
        ("Tag", "replace", "v2", "quay.io/a/b:v2"),
        ("Tag", "add", "-alpine", "quay.io/a/b:v1-alpine"),
        ("Tag", "remove", "", "quay.io/a/b"),
        ("Tag", "replace", DIGEST, "quay.io/a/b@" + DIGEST),
        ("Tag", "replace", "not/a/tag", "quay.io/a/b:v1"),
        ("Tag", "replace", "", "quay.io/a/b:v1"),
    ],
)
def test_changes(component: str, operator: str, value: str, expected: str) -> None:
    assert override_image("quay.io/a/b:v1", component, operator, value) == expected


OTHER = "sha256:" + "6" * 64


@pytest.mark.parametrize(
    ("component", "operator", "value", "expected"),
    [
        ("Registry", "replace", "test.io", "test.io/a:v1@" + DIGEST),
        ("Registry", "remove", "", "a:v1@" + DIGEST),
        ("Repository", "add", "/x", "quay.io/a/x:v1@" + DIGEST),
        ("Tag", "replace", "v2", "quay.io/a:v2"),  # the old digest would be the old image
        ("Tag", "add", "-alpine", "quay.io/a:v1-alpine"),
        ("Tag", "replace", OTHER, "quay.io/a:v1@" + OTHER),
        ("Tag", "remove", "", "quay.io/a@" + DIGEST),
        ("Tag", "replace", "", "quay.io/a:v1@" + DIGEST),
    ],
)
def test_tag_and_digest_stay_unless_they_are_overridden(
    component: str, operator: str, value: str, expected: str
) -> None:
    assert override_image(f"quay.io/a:v1@{DIGEST}", component, operator, value) == expected


def test_an_unknown_component() -> None:
    with pytest.raises(ImageError, match=r"unsupported image component\(Name\)"):
        override_image("nginx", "Name", "add", "x")
