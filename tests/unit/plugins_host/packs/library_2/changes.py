"""From one state version to the next, and back."""

from typing import Any

__all__ = ("migrate_book",)


def migrate_book(before: int, after: int, book: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a book as the other version writes it."""
    if (before, after) == (1, 2):
        readers = book.get("readers", [])
        copies = [{"type": "with_reader", "reader": reader} for reader in readers]
        copies += [{"type": "on_shelf"}] * (book["copies"] - len(readers))
        return {"isbn": book["isbn"], "copies": copies}
    if (before, after) == (2, 1):
        readers = [one["reader"] for one in book["copies"] if one["type"] == "with_reader"]
        return {"isbn": book["isbn"], "copies": len(book["copies"]), "readers": readers}
    raise ValueError(f"there is no way from {before} to {after}")
