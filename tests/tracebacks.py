"""What errors and copies show to whoever prints, dumps or pickles what is at hand."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest


def shown_by(error: BaseException, /) -> str:
    """Return the traceback with the locals of every frame of the product, and every error behind it."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts, links = [repr(error.args), repr(vars(error))], [found]
    while links:
        link = links.pop()
        links += [other for other in (link.__cause__, link.__context__) if other]
        texts += [str(link), *(f"{frame.name} {frame.locals}" for frame in link.stack if "cloud_integrations" in frame.filename)]
    return "\n".join(texts)


def shown_by_copies(holder: object, /) -> str:
    """Return what the refusals to pickle *holder* show; a copy of it is itself, and it has no `vars`."""
    assert copy.copy(holder) is holder
    assert copy.deepcopy([holder])[0] is holder
    with pytest.raises(TypeError):
        vars(holder)
    shown = []
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(holder, protocol)
        shown.append(shown_by(caught.value))
    return "\n".join(shown)
