"""Each screen of the connect page in each state, as Chromium shows it."""

from __future__ import annotations

import pytest

from .judge import Judge
from .pictures import take
from .screens import SCREENS


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_can_be_used_by_everybody(name, site, visitor, pytestconfig):
    shown = SCREENS[name]
    page = visitor(signed_in=shown.signed_in)
    judge = Judge(page, site)
    statuses = []
    page.on(
        "response",
        lambda each: statuses.append(each.status) if each.request.is_navigation_request() and each.url.startswith(site.url) else None,
    )
    frame = shown.reach(site, page) or page
    heading = frame.get_by_role("heading", level=1)
    heading.wait_for()
    frame.wait_for_load_state()
    assert (heading.inner_text(), statuses[-1]) == (shown.heading, shown.status)
    judge.check(frame)
    if pytestconfig.getoption("--screenshots"):
        take(page, name, shown.picture.split())


def test_the_judge_hears_sees_and_measures(site, visitor):
    page = visitor()
    judge = Judge(page, site)
    SCREENS["manage"].reach(site, page)
    judge.check(page)
    for wrong, complaint in (
        ("document.querySelector('.soft, dt').style.color = 'silver'", "color-contrast"),
        ("document.querySelector('label').remove()", "label"),
        ("document.querySelector('h1').style.minWidth = '2000px'", "sideways"),
        ("document.querySelector('button').style.cssText = 'min-height: 0; height: 10px; padding: 0'", "<button"),
        ("document.head.append(Object.assign(document.createElement('style'), {textContent: 'p {}'}))", "policy: style-src"),
        ("console.error('something is wrong')", "something is wrong"),
    ):
        page.reload()
        page.evaluate(wrong)
        with pytest.raises(AssertionError, match=complaint):
            judge.check(page)
        judge.complaints.clear()
