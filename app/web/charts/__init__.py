"""Charts of published figures, drawn here as SVG: named, described, in the page's colours, without a style.

Every chart is drawn twice, for wide and for narrow screens, so that its letters stay readable; style sheet
rules show one of the two. A chart is given strings of a document and can show no more than these.
"""

from app.web.charts.bars import Bar, Group, bars
from app.web.charts.canvas import Chart
from app.web.charts.columns import columns
from app.web.charts.gaps import gaps
from app.web.charts.lines import Point, line
from app.web.charts.matrix import matrix
from app.web.charts.ranges import Span, ranges

__all__ = ["Bar", "Chart", "Group", "Point", "Span", "bars", "columns", "gaps", "line", "matrix", "ranges"]
