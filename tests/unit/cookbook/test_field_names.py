"""Names of the field are served by our recipes; all others go on to ``foreign``."""

from __future__ import annotations

import pytest

from slapos.build.profile.field_names import FIELD_RECIPES
from slapos.build.profile.names import RecipeTable, own_recipes
from slapos.model.errors import ProfileError
from tests.unit.cookbook.engine import Partition


class Foreign:
    """Stands for what is found elsewhere."""


@pytest.mark.parametrize("name", sorted(FIELD_RECIPES))
def test_every_name_of_the_table_has_its_recipe(name: str) -> None:
    point = own_recipes()[f"hyperopenx:{FIELD_RECIPES[name]}"]
    assert RecipeTable().find(name, None, "x") is point.load()


@pytest.mark.parametrize("name", ["slapos.cookbook:wrapper", "slapos-cookbook:wrapper", "Slapos_Cookbook:wrapper"])
def test_distributions_are_named_as_package_indexes_do(name: str) -> None:
    table = RecipeTable(foreign=lambda name, origin, section: Foreign)
    assert table.find(name, None, "x") is table.find("hyperopenx:wrapper", None, "x")


@pytest.mark.parametrize("name", ["slapos.cookbook:trac", "slapos.cookbook:Wrapper", "other:wrapper", "wrapper"])
def test_other_names_are_foreign(name: str) -> None:
    asked: list[tuple[str, str]] = []

    def foreign(name: str, origin: object, section: str) -> type:
        asked.append((name, section))
        return Foreign

    assert RecipeTable(foreign=foreign).find(name, None, "part") is Foreign
    assert asked == [(name, "part")]


def test_a_name_that_ours_do_not_serve_is_of_its_distribution() -> None:
    assert RecipeTable().find("slapos.cookbook:trac", None, "part").requirement == "slapos.cookbook"


def test_a_wrong_name_of_ours_is_refused() -> None:
    with pytest.raises(ProfileError, match="no recipe 'hyperopenx:wraper'") as caught:
        RecipeTable().find("hyperopenx:wraper", None, "part")
    assert caught.value.hint == "Did you mean hyperopenx:wrapper?"


def test_a_profile_of_the_field_runs(partition: Partition) -> None:
    profile = "[buildout]\nparts = d\n[d]\nrecipe = slapos.cookbook:mkdirectory\nlog = ${buildout:directory}/var/log\n"
    partition.done(profile)
    assert (partition.directory / "var/log").is_dir()
    assert partition.outcomes(partition.done(profile)) == {"d": "kept"}
