"""Going back to a version: which one is meant, or why there is none."""

from collections.abc import Sequence

from worker.errors import WrongUsage

__all__ = ["chosen"]


def chosen(versions: Sequence[int], wanted: int | None, listing: str) -> int:
    """Return the version to go back to, of those there are, the newest last: the one before it unless one is wanted.

    `listing` is the command that says what there is. Raises WrongUsage if there is no such version.
    """
    earlier = versions[:-1]
    if not earlier:
        raise WrongUsage(f"There is no earlier version to go back to: {listing} says what there is.")
    version = earlier[-1] if wanted is None else wanted
    if versions[-1] == version:
        raise WrongUsage(f"Version {version} is the newest already: name an earlier one.")
    if version not in earlier:
        raise WrongUsage(f"There is no version {version}, only {', '.join(map(str, earlier))}: name one of these.")
    return version
