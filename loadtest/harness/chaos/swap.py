"""Has all nodes switch to another version of a pack: the same code under a new number.

The version is loaded and has passed its self-test on every node before it is promoted, as an
operator would do it; the step is over when it serves everywhere.
"""

import hashlib
import re

from loadtest.harness.problems import PlanUnusable
from loadtest.harness.stands import Stand
from loadtest.hotload.office import Office
from loadtest.hotload.versions import Tools, Version

__all__ = ("PackSwap",)


class PackSwap:
    """Call it with the name of a pack; each call brings a version that no node has seen."""

    def __init__(self, tools: Tools, stand: Stand) -> None:
        self._tools = tools
        self._stand = stand
        self._number = 0

    def check(self, packs: list[str]) -> None:
        """Raise :class:`PlanUnusable` for a pack that does not come with the program."""
        known = {one.name for one in self._tools.bundled}
        if unknown := sorted(set(packs) - known):
            raise PlanUnusable(
                f"there is no pack {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )

    async def __call__(self, pack: str) -> None:
        """Load and promote another version, and return when it serves on every node."""
        self._number += 1
        version = self._version(pack)
        stand = self._stand
        nodes = len(stand.node_pids())
        async with Office.open(stand.nats_url, self._tools, stand.folder, nodes) as office:
            await office.upload(version)
            loaded = await office.load(version)
            await office.wait_converged(loaded.plan_version)
            promoted = await office.change("promote", name=pack, generation=loaded.generation)
            await office.wait_converged(promoted.plan_version)

    def _version(self, pack: str) -> Version:
        bundled = next(one for one in self._tools.bundled if one.name == pack)
        major = int(bundled.version.partition(".")[0])
        number = f"{major}.{900 + self._number}.0"
        manifest, times = re.subn(
            r"(?m)^version = .*$",
            f'version = "{number}"',
            bundled.files["plugin.toml"].decode(),
        )
        assert times == 1, "a manifest has one version"
        data = self._tools.pack({**bundled.files, "plugin.toml": manifest.encode()})
        return Version(
            pack=pack,
            version=number,
            mood="well",
            form=bundled.state_version,
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
        )
