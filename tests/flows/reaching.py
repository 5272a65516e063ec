"""Resources that a credential reaches, and a provider that lists them."""

from __future__ import annotations

import json

import pytest

NORTH = {"id": "north", "name": "Acme North", "url": "https://north.acme.example"}
SOUTH = {"id": "south", "name": "Acme South", "url": "https://south.acme.example"}


@pytest.fixture
def reaches(world):
    """Let credentials reach these resources, and open a door to a provider that lists them."""

    def reach(*resources):
        is_new = world.provider.resources is None
        world.provider.resources = resources
        if is_new:
            world.entries = list(world.provider.catalogue_entries())
            world.door = world.open()
        return world.door

    return reach


def asked(world):
    return [request for request in world.sent if request.url.endswith("/resources")]


def answers(world, body, *, status=200):
    """Answer the next lists with *body*."""

    def answer(request, response):
        if request.url.endswith("/resources"):
            object.__setattr__(response, "body", body if isinstance(body, bytes) else json.dumps(body).encode())
            object.__setattr__(response, "status", status)

    world.on_answer = answer


def alive(world):
    tokens = dict.fromkeys(text for text in world.secrets if text.startswith(("fake-access", "fake-refresh")))
    return [token for token in tokens if world.provider.is_alive(token)]
