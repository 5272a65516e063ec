"""Who holds which token, and what became of those that nobody holds."""

from __future__ import annotations

import inspect

from cloud_integrations.domain.outbox import OUTBOX_TABLE
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import token_id

from .conftest import ACME

DECLARED = ["token", "grant", None]


def declaring(world, kills):
    """Let the provider's data say what a revocation ends; where it says `grant`, the provider does it."""
    world.provider.kills = kills or "token"
    entry = world.provider.catalogue_entries()[0]
    [method] = entry.methods
    revoke = method.revoke.model_copy(update={"kills": kills})
    world.entries[0] = entry.model_copy(update={"methods": (method.model_copy(update={"revoke": revoke}),)})
    world.door = world.open()
    return world.door


async def held_tokens(world):
    """The ids of all tokens that stored credentials hold."""
    wiring = world.door.wiring
    found = set()
    for row in list(world.tables.integrations.values()):
        found |= {token_id(token) for name in ("access", "refresh") if (token := await wiring.sealer.open_token(row, name))}
    return found


async def waiting_tokens(world):
    """The ids of all tokens in the outbox."""
    wiring = world.door.wiring
    return {
        token_id(await wiring.sealer.open(entry.tenant_id, entry.sealed_payload, table=OUTBOX_TABLE, row=str(entry.id), field="payload"))
        for entry in list(world.tables.outbox.values())
    }


async def honoured(world):
    """Whether every token that is stored still works."""
    alive = set().union(*world.provider.living_grants())
    return await held_tokens(world) <= alive


def told(world, action, tenant=ACME):
    return [(event.outcome, event.reason, event.details["token"]) for event in world.events(tenant) if event.action == action]


def at_answer(world, path, act):
    """Do *act*, which may be awaited, once, when the provider's next answer from *path* is on its way."""

    def hook(request, _response):
        if request.url.endswith(path):
            world.on_answer = None
            done = act()
            if inspect.isawaitable(done):
                return run_inline(done) if world.blocking else done
        return None

    world.on_answer = hook


def replaced_words(world):
    return [event.details["replaced"] for event in world.events() if event.action == "integration.reconnected"]
