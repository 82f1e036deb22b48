"""What a user sees who asks for encryption wrongly: one line that names the flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafila.cli import CommandError, UsageError
from kafila.cli.starting import check_files, settings_of, starting
from kafila.store.sealing import KeysNeeded

WRONG = [
    (
        {"encryption_provider_config_automatic_reload": True},
        "",
        "invalid value 'True' for --encryption-provider-config-automatic-reload: must be set with --encryption-provider-config",
    ),
    (
        {"database_url": "memory:"},
        "apiVersion: apiserver.config.k8s.io/v1\n",
        "invalid value '{file}' for --encryption-provider-config: belongs to a database: in memory nothing is at rest",
    ),
    (
        {},
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [Secrets]\n",
        "invalid value '{file}' for --encryption-provider-config: line 4: resources[0].resources[0]:"
        ' Invalid value: "Secrets": resource name should not contain capital letters',
    ),
]


@pytest.mark.parametrize(("given", "content", "said"), WRONG)
def test_it_is_one_line_that_names_the_flag(tmp_path: Path, given: dict[str, object], content: str, said: str) -> None:
    file = tmp_path / "encryption.yaml"
    if content:
        file.write_text(content)
        given = {**given, "encryption_provider_config": str(file)}
    with pytest.raises(UsageError) as caught:
        check_files(settings_of(given))
    assert str(caught.value) == said.format(file=file)


def test_what_cannot_be_begun_without_keys_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "encryption.yaml"
    file.write_text("x: y\n")
    settings = settings_of({"encryption_provider_config": str(file), "data_dir": tmp_path})
    with pytest.raises(CommandError) as caught, starting(settings):
        raise KeysNeeded("a KMS is away")
    assert str(caught.value) == f"--encryption-provider-config {file}: a KMS is away"
