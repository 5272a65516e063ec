"""Bar charts as SVG that the server writes: attributes and classes alone, so that no policy is loosened, and no script is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_integrations import EndingDay, RenewalHour

WIDTH: Final = 1000
HEIGHT: Final = 200
_GAP: Final = 0.2
"""The part of a column that is left free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one colour of a chart stands for."""

    name: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is counted for an hour or a day: a number for each series."""

    label: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle of the chart; its numbers are in units of the view box."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with columns of stacked bars, and what its table shows."""

    title: str
    unit: str
    """What a column is: Hour, or Day."""
    series: tuple[Series, ...]
    columns: tuple[Column, ...]
    nothing: str
    """What is said where there is nothing to count."""
    at_least: bool = False
    """Whether there may be more than is counted."""
    least: float = 0.0
    """The height that every bar has beside that of its number, so that one among thousands is seen."""
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def total(self) -> int:
        """The sum of everything that is counted."""
        return sum(sum(column.values) for column in self.columns)

    @property
    def highest(self) -> int:
        """The sum of the highest column."""
        return max((sum(column.values) for column in self.columns), default=0)

    @property
    def first(self) -> str:
        """The label of the first column."""
        return self.columns[0].label

    @property
    def last(self) -> str:
        """The label of the last column."""
        return self.columns[-1].label

    @property
    def lines(self) -> tuple[float, ...]:
        """The heights of the lines behind the bars."""
        return (0.0, HEIGHT / 2, float(HEIGHT))

    @property
    def rows(self) -> tuple[Column, ...]:
        """The columns in which something is counted, for the table."""
        return tuple(column for column in self.columns if any(column.values))

    @property
    def sums(self) -> tuple[int, ...]:
        """The sum of each series."""
        return tuple(sum(column.values[index] for column in self.columns) for index in range(len(self.series)))

    @property
    def counts(self) -> str:
        """The sums in words."""
        said = ", ".join(f"{number} {each.name.lower()}" for number, each in zip(self.sums, self.series, strict=True))
        return f"at least {said}" if self.at_least else said

    @property
    def summary(self) -> str:
        """The chart in words, for those who do not see it."""
        return f"{self.title}: {self.counts}; from {self.first} to {self.last}"

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The rectangles, stacked from below in the order of the series."""
        step, most = WIDTH / len(self.columns), self.highest
        return tuple(bar for at, column in enumerate(self.columns) for bar in self._stack(at * step, step * (1 - _GAP), column, most))

    @property
    def outlines(self) -> Mapping[str, str]:
        """The rectangles of each tone as one path: short, for a chart that a page has many times."""
        found: dict[str, str] = {}
        for bar in self.bars:
            found[bar.tone] = found.get(bar.tone, "") + f"M{bar.x:.4g} {bar.y:.4g}h{bar.width:.4g}v{bar.height:.4g}h-{bar.width:.4g}z"
        return found

    def _stack(self, x: float, width: float, column: Column, most: int) -> Sequence[Bar]:
        bars, below = [], 0.0
        shared = HEIGHT - self.least * len(self.series)
        for value, each in zip(column.values, self.series, strict=True):
            if value:
                height = round(self.least + shared * value / most, 2)
                below += height
                label = f"{column.label}: {value} {each.name.lower()}"
                bars.append(
                    Bar(x=round(x, 2), y=round(HEIGHT - below, 2), width=round(width, 2), height=height, tone=each.tone, label=label)
                )
        return bars


def renewals_chart(hours: Iterable[RenewalHour], /, *, least: float = 0.0) -> Chart:
    """Return the chart of renewals and failures by the hour; *least* is that of the chart."""
    found = tuple(hours)
    return Chart(
        title="Renewals by the hour",
        unit="Hour (UTC)",
        series=(Series(name="Renewed", tone="good"), Series(name="Failed", tone="bad")),
        columns=tuple(
            Column(label=f"{hour.start:%b} {hour.start.day}, {hour.start:%H:%M}", values=(hour.renewed, hour.failed)) for hour in found
        ),
        nothing="No renewal in these hours.",
        at_least=any(hour.at_least for hour in found),
        least=least,
    )


def renewals_strip(hours: Iterable[RenewalHour], /) -> Chart:
    """Return the small chart of renewals and failures by the hour, for a cell of a table."""
    return renewals_chart(hours, least=HEIGHT / 8)


def ends_chart(days: Iterable[EndingDay], /) -> Chart:
    """Return the chart of ends by the day."""
    found = tuple(days)
    return Chart(
        title="Ends by the day",
        unit="Day (UTC)",
        series=(Series(name="Ends", tone="warn"),),
        columns=tuple(Column(label=f"{each.day:%b} {each.day.day}", values=(each.number,)) for each in found),
        nothing="No known end in the next 90 days.",
        at_least=any(each.at_least for each in found),
    )
