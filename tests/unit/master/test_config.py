"""Options of ``master.cfg`` that every dialect shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from slapos.master.config import MESSAGE_LIMIT, MasterConfig, load_config, write_config
from slapos.model.errors import InputError

ONE, TWO = "https://example.org/1/software.cfg", "https://example.org/2/software.cfg"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = MasterConfig(
        state_directory=str(tmp_path), message_limit=1_000_000, products=(("Web-site", TWO), ("Web-site", ONE))
    )
    write_config(config)
    assert load_config(config.path) == config


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "master.cfg").write_text("[master]\n")
    config = load_config(str(tmp_path / "master.cfg"))
    assert (config.message_limit, config.products) == (MESSAGE_LIMIT, ())


@pytest.mark.parametrize(
    "text",
    [
        "[master]\nmessage_limit = many\n",
        "[master]\nmessage-limit = 100\n",
        "[master]\nmessage_limit = 99999999999\n",
        "[master]\nproducts = website\n",
        "[master]\n[products]\nwebsite = https://example.org\n",
        "[master]\n[products]\nreleases = website\n",
        "[master]\n[products]\nreleases =\n  website a b\n",
    ],
)
def test_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "master.cfg").write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(str(tmp_path / "master.cfg"))
    assert caught.value.reference == "invalid-master-configuration"
    assert caught.value.context["field"]
