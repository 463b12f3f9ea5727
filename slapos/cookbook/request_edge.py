"""``request.edge`` of the field: the same request once for each country."""

from __future__ import annotations

from typing import ClassVar, cast

from slapos.build.profile.section import Options
from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.request import Request
from slapos.model.errors import NotReady


class RequestEdge(Recipe):
    """Requests ``<country>-<part>`` with the SLA ``region``; gives ``connection-<name>-<country>``."""

    OPTIONS: ClassVar[dict[str, str]] = {**Request.OPTIONS, "name": "<country>-<part>", "country-list": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks."""
        if not _countries(options):
            raise options.error("country-list", "names no country.", reference="missing-option")
        options.text("software-url")
        return Description()

    def setup(self) -> None:
        self.requests: dict[str, Request] = {}
        for country in _countries(self.view):
            section = _Section(cast("Options", self.options), country, self.name)
            self.requests[country] = Request(self.buildout, self.name, section)
            for option in [name for name in section if name.startswith("connection-")]:
                self.set(f"{option}-{country}", section[option])

    def install(self) -> list[str]:
        """:class:`NotReady` with all that is still missing."""
        waiting = []
        for request in self.requests.values():
            try:
                request.install()
            except NotReady as error:
                waiting.append(error)
        if waiting:
            raise NotReady(
                "; ".join(error.message for error in waiting),
                reference="waiting-for-instance",
                context={"titles": [error.context.get("title", "") for error in waiting]},
                hint=waiting[0].hint,
            )
        return []

    def update(self) -> list[str]:
        return self.install()


class _Section(dict[str, object]):
    """The options of the part as those of one country's request."""

    def __init__(self, options: Options, country: str, part: str) -> None:
        super().__init__(options.copy())
        self.update({"name": f"{country}-{part}", "sla-region": country})
        self.names = options.name_items

    def name_items(self, option: str) -> list[str]:
        """Names as the profile divides them."""
        return self.names(option)


def _countries(options: OptionsView) -> list[str]:
    return [country for country in map(str.strip, options.text("country-list").split(",")) if country]
