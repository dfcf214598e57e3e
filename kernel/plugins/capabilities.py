"""What a generation may ask of its host: what its manifest asks for, and nothing else."""

from collections.abc import Set as AbstractSet

from kernel.plugins.errors import CapabilityRefused, ManifestInvalid
from kernel.plugins.manifest import Manifest

__all__ = ("Grants",)


class Grants:
    """The capabilities of one generation. Names only: the hosting application knows their meaning.

    Raise :class:`ManifestInvalid` when the manifest asks for one that the host does not offer.
    """

    def __init__(self, manifest: Manifest, offered: AbstractSet[str]) -> None:
        self._plugin = f"{manifest.name} {manifest.version}"
        self.granted = frozenset(manifest.capabilities)
        self.refused = 0
        if unknown := self.granted - offered:
            raise ManifestInvalid(
                f"{self._plugin} asks for {', '.join(sorted(unknown))}; this host offers "
                f"{', '.join(sorted(offered)) or 'nothing'}",
                field="capabilities",
            )

    def require(self, capability: str) -> None:
        """Raise :class:`CapabilityRefused` unless it was granted."""
        if capability not in self.granted:
            self.refused += 1
            raise CapabilityRefused(
                f"{self._plugin} asks for {capability!r}, which its manifest does not ask for"
            )
