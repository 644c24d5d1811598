"""What is drawn is where it belongs: colours in cells, gold squares, labels, curves and bands."""

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from course_pkg import plotting
from course_pkg.drawing import PAPER
from course_pkg.notation import CourseError
from course_pkg.plotting import (
    ALPHA_COLORMAP,
    alignment_heatmap,
    alt_text,
    line_with_band,
    picture,
    training_curve,
    write_alpha_png,
)

SOURCE = ["the", "woman", "does", "not", "see"]
TARGET = ["la", "femme", "ne", "voit", "pas"]
WEIGHTS = np.array(
    [
        [0.90, 0.05, 0.03, 0.01, 0.01],
        [0.10, 0.80, 0.04, 0.03, 0.03],
        [0.00, 0.02, 0.28, 0.60, 0.10],
        [0.01, 0.02, 0.17, 0.10, 0.70],
        [0.00, 0.00, 0.00, 1.00, 0.00],
    ]
)


def tokens(n, word="word"):
    return [f"{word}{i}" for i in range(n)]


def rendered(figure):
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[::-1] / 255  # row 0 at the bottom, as display coordinates have it


def assert_cells_hold(figure, weights):
    """The pixel in the middle of row i (from the top), column j has the colour of weights[i, j]."""
    image, ax = rendered(figure), figure.axes[0]
    places = {}
    for (row, column), value in np.ndenumerate(weights):
        x, y = ax.transData.transform((column + 0.2, row - 0.2)).astype(int)
        places[row, column] = x, y
        assert image[y, x, :3] == pytest.approx(ALPHA_COLORMAP(float(value))[:3], abs=0.02), (row, column)
    assert places[0, 0][0] < places[0, 1][0], "columns run to the right"
    assert places[0, 0][1] > places[1, 0][1], "rows run down"


def test_cells_are_target_rows_by_source_columns():
    assert_cells_hold(alignment_heatmap(WEIGHTS, SOURCE, TARGET), WEIGHTS)
    wide = WEIGHTS[:2]
    assert_cells_hold(alignment_heatmap(wide, SOURCE, TARGET[:2], numbers=False), wide)


def test_a_transposed_matrix_is_caught():
    with pytest.raises(AssertionError):
        assert_cells_hold(alignment_heatmap(WEIGHTS.T, SOURCE, TARGET), WEIGHTS)


def test_cells_are_right_in_a_given_axes():
    figure = picture(8, 4)
    left, right = figure.subplots(1, 2)
    assert alignment_heatmap(WEIGHTS, SOURCE, TARGET, ax=left, title="a $ b") is figure
    alignment_heatmap(WEIGHTS, SOURCE, TARGET, ax=right)
    assert_cells_hold(figure, WEIGHTS)


def test_colour_scale_is_absolute():
    """Equal weights look equal in every figure: the scale never stretches to the matrix."""
    faint = np.full((2, 2), 0.5)
    assert_cells_hold(alignment_heatmap(faint, SOURCE[:2], TARGET[:2]), faint)


def test_labels_are_the_tokens_in_order():
    ax = alignment_heatmap(WEIGHTS, SOURCE, TARGET).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == SOURCE
    assert [t.get_text() for t in ax.get_yticklabels()] == TARGET
    assert list(ax.get_xticks()) == list(ax.get_yticks()) == [0, 1, 2, 3, 4]


def test_gold_squares_frame_their_cells():
    gold = {(0, 0), (3, 2), (3, 4), (4, 3)}  # source, target
    figure = alignment_heatmap(WEIGHTS, SOURCE, TARGET, gold=gold)
    ax = figure.axes[0]
    squares = [p for p in ax.patches if p.get_gid() == "gold"]
    framed = [(p.get_x() + p.get_width() / 2, p.get_y() + p.get_height() / 2) for p in squares]
    assert np.allclose(sorted(framed), sorted(gold))
    image = rendered(figure)
    for row, column in np.ndindex(5, 5):
        x, y = ax.transData.transform((column - 0.45, row)).astype(int)
        near = image[y, x - 2 : x + 3, :3]
        red = (near[:, 0] > 0.6) & (near[:, 1] < 0.5) & (near[:, 2] < 0.4)
        assert red.any() == ((column, row) in gold)


def test_gold_outside_the_matrix_is_refused():
    with pytest.raises(CourseError, match=r"\(5, 0\)"):
        alignment_heatmap(WEIGHTS, SOURCE, TARGET, gold={(5, 0)})


def test_numbers_stand_in_their_cells():
    ax = alignment_heatmap(WEIGHTS, SOURCE, TARGET, numbers=True).axes[0]
    written = {t.get_position(): t.get_text() for t in ax.texts}
    for (row, column), value in np.ndenumerate(WEIGHTS):
        assert written[column, row] == f"{value:.2f}"


def assert_labels_are_apart(figure, ax):
    figure.draw_without_rendering()
    columns = [t for t in ax.get_xticklabels() if t.get_text()]
    rows = [t for t in ax.get_yticklabels() if t.get_text()]
    for upper, lower in zip(rows, rows[1:], strict=False):
        assert upper.get_window_extent().y0 >= lower.get_window_extent().y1 - 1
    spread = np.diff(ax.transData.transform([(t.get_position()[0], 0) for t in columns])[:, 0])
    if columns[0].get_rotation():  # parallel lines of text: their distance against their height
        height = max(t.get_fontsize() for t in columns) / 72 * figure.dpi
        assert (spread * np.sin(np.radians(45)) >= 0.99 * height).all()
    else:
        for left, right in zip(columns, columns[1:], strict=False):
            assert left.get_window_extent().x1 < right.get_window_extent().x0
    for label in (*rows, *columns):
        box = label.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 14), (14, 2), (14, 14), (30, 45), (60, 60)])
@pytest.mark.parametrize("word", ["", "internationalisation", "x" * 80])
def test_labels_never_touch_and_stay_on_the_card(rows, columns, word):
    weights = np.full((rows, columns), 1 / columns)
    figure = alignment_heatmap(weights, tokens(columns, word), tokens(rows, word), title="A title")
    assert_labels_are_apart(figure, figure.axes[0])
    assert len(figure.axes[0].get_xticks()) == columns and len(figure.axes[0].get_yticks()) == rows


@pytest.mark.parametrize("n", [3, 14, 60, 200])
def test_labels_in_a_small_given_axes_thin_out_before_they_touch(n):
    figure = picture(4, 4)
    ax = figure.add_subplot()
    alignment_heatmap(np.full((n, n), 1 / n), tokens(n), tokens(n), ax=ax)
    assert_labels_are_apart(figure, ax)


def test_an_endless_sentence_keeps_its_picture_small():
    figure = alignment_heatmap(np.full((300, 400), 0.0025), tokens(400), tokens(300))
    assert max(figure.get_size_inches()) < 18
    assert_labels_are_apart(figure, figure.axes[0])


ODD = ["$x_1$", r"$\frac{", "a_b", "100 %", "שלום", "مرحبا", "😀", "日本", "a\x00\x1b", " ", "", "\u202eabc"]


def test_odd_tokens_are_shown_literally_without_a_warning():
    weights = np.eye(len(ODD))
    figure = alignment_heatmap(weights, ODD, ODD[::-1], title="costs $5 or $6_")
    rendered(figure)  # pytest turns a warning into an error
    plotting.svg(figure)
    shown = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert shown[:4] == ODD[:4] and shown[4:6] == ["שלום", "مرحبا"]
    assert shown[7] == "□□" and shown[8] == "a□□" and shown[9] == "␣" and shown[11] == "□abc"
    assert not any(t.get_parse_math() for t in figure.axes[0].get_xticklabels())


def test_heatmap_describes_itself():
    assert alignment_heatmap(WEIGHTS, SOURCE, TARGET).description == alt_text(WEIGHTS, SOURCE, TARGET)


def test_alt_text_names_the_source_word_that_each_target_word_looks_at():
    text = alt_text(WEIGHTS, SOURCE, TARGET)
    places = [text.index(f"“{t}” looks most at “{s}”") for t, s in
              zip(TARGET, ["the", "woman", "not", "see", "not"], strict=True)]  # fmt: skip
    assert places == sorted(places) and "(0.60)" in text
    assert "empty" in alt_text([], [], [])


def test_misfitting_or_empty_matrices_are_refused():
    with pytest.raises(CourseError, match="rows are target"):
        alignment_heatmap(WEIGHTS[:3], SOURCE, TARGET)
    with pytest.raises(CourseError, match="nothing to draw"):
        alignment_heatmap([], [], [])


def test_png_holds_the_heat_map_and_its_alt_text(tmp_path):
    record = {"source_tokens": SOURCE, "target_tokens": TARGET, "weights": WEIGHTS.tolist()}
    write_alpha_png(tmp_path / "alpha.png", record)
    with Image.open(tmp_path / "alpha.png") as image:
        image.load()
        assert image.info["Description"] == alt_text(WEIGHTS, SOURCE, TARGET)
    with pytest.raises(CourseError, match="cannot write"):
        write_alpha_png(tmp_path / "none" / "alpha.png", record)


# ------------------------------------------------------------------------------------------------- curves


def test_band_lies_between_its_ends_and_the_curve_on_its_points():
    x, y, low, high = [5, 10, 20], [30.0, 25.0, 10.0], [28.0, 22.0, 6.0], [31.0, 29.0, 15.0]
    ax = line_with_band(x, y, low, high, label="plain", xlabel="words", ylabel="BLEU").axes[0]
    (curve,) = ax.lines
    assert curve.get_xydata().tolist() == np.column_stack([x, y]).tolist()
    corners = {tuple(point) for point in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert corners >= set(zip(x, low, strict=True)) | set(zip(x, high, strict=True))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("words", "BLEU")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["plain"]


def test_next_curve_differs_in_colour_dash_and_marker():
    figure = line_with_band([1, 2], [1, 2], label="one")
    assert line_with_band([1, 2], [2, 1], label="two", ax=figure.axes[0]) is figure
    one, two = figure.axes[0].lines
    assert one.get_color() != two.get_color() and one.get_marker() != two.get_marker()
    assert one.get_linestyle() != two.get_linestyle()


def test_wrong_bands_are_refused():
    with pytest.raises(CourseError, match="both ends"):
        line_with_band([1, 2], [1, 2], [0, 1])
    with pytest.raises(CourseError, match="as many"):
        line_with_band([1, 2], [1, 2], [0], [3])


def test_training_curve_passes_over_gaps_and_draws_its_reference():
    steps = [0, 1, 2, 3]
    series = {"training": [4.0, 3.0, 2.0, 1.5], "validation": [4.0, np.nan, 2.5, np.nan]}
    ax = training_curve(steps, series, reference={"uniform guess": 4.1}).axes[0]
    training, validation, level = ax.lines
    assert training.get_ydata().tolist() == series["training"]
    assert validation.get_xydata().tolist() == [[0, 4.0], [2, 2.5]]
    assert list(level.get_ydata()) == [4.1, 4.1]
    with pytest.raises(CourseError, match="'training' has 2 values for 3 steps"):
        training_curve([0, 1, 2], {"training": [1, 2]})


def test_curves_are_drawn_on_the_card():
    figure = line_with_band([1, 2], [1, 2])
    image = np.array(Image.open(io.BytesIO(figure.png(80))).convert("RGBA")) / 255
    assert image[40, 30] == pytest.approx((*to_rgb(PAPER), 1.0), abs=0.01)
