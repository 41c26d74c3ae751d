"""Windows: laid as in use, turned and scaled without colours and labels drifting apart, and drawn fairly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seglab.datasets.folder import MIN_OBJECT_PX
from seglab.evaluation import cases
from seglab.pretrain import windows as module
from seglab.pretrain.bank import Bank
from seglab.pretrain.ground import PROCEDURAL, Ground, label_ground
from seglab.pretrain.windows import SMALLEST, Windows, draw_parts, look, loose_windows, plain_windows
from tests.pretrain.made_ground import random_rectangles, rectangles

SIZE = 40


@pytest.fixture(scope="module")
def grounds() -> list[Ground]:
    rng = np.random.default_rng(0)
    return [random_rectangles(rng, shape, 30, image_id=str(shape)) for shape in ((90, 140), (260, 200), (30, 70))]


def all_parts(grounds: list[Ground]) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [(i, part) for i, ground in enumerate(grounds) for part in range(1, len(ground.table.area))]
    image, part = torch.tensor(pairs).T
    return image, part


def corner_and_side(windows: Windows, number: int) -> tuple[float, float, float]:
    """(column, row, side) of a window that is not turned."""
    (half, turned, col), (also_turned, same, row) = windows.frame[number].tolist()
    assert turned == also_turned == 0 and half == same
    return col - half, row - half, 2 * half


def test_the_bench_and_training_agree_on_numbers():
    assert module.FILL == cases.FILL
    assert SMALLEST == MIN_OBJECT_PX


def test_plain_windows_are_those_of_the_bench(grounds):
    bank = Bank(grounds)
    image, part = all_parts(grounds)
    windows = plain_windows(bank, image, part, SIZE)
    sides, at_an_edge = set(), 0
    for number, (i, p) in enumerate(zip(image.tolist(), part.tolist(), strict=True)):
        rows, cols = cases._view(grounds[i].parts == p, SIZE)
        expected = (cols.start, rows.start, cols.stop - cols.start)
        assert corner_and_side(windows, number) == pytest.approx(expected, abs=1e-3)
        sides.add(expected[2])
        at_an_edge += rows.start == 0 or cols.start == 0
    # One to one, coarser, as large as the image allows; and in the middle as well as at its edges.
    assert {SIZE, 2 * SIZE, 4 * SIZE, 30, 90} <= sides and 5 < at_an_edge < len(image) - 5


@pytest.mark.parametrize("extent", [28, 29, 56, 57, 112, 113])
def test_the_scale_changes_at_the_same_extent(extent):
    """28 of 40 pixels are the share that an object may fill."""
    made = rectangles((200, 200), (50, 60, 50 + extent, 70))
    windows = plain_windows(Bank([made]), torch.tensor([0]), torch.tensor([1]), SIZE)
    rows, _ = cases._view(made.parts == 1, SIZE)
    assert corner_and_side(windows, 0)[2] == rows.stop - rows.start


def test_a_window_one_to_one_shows_the_very_pixels(grounds):
    bank = Bank(grounds)
    image, part = all_parts(grounds)
    windows = plain_windows(bank, image, part, SIZE)
    view, seen = look(bank, windows, SIZE), 0
    for number, i in enumerate(image.tolist()):
        col, row, side = (round(value) for value in corner_and_side(windows, number))
        if side != SIZE:
            continue
        square = slice(row, row + SIZE), slice(col, col + SIZE)
        np.testing.assert_allclose(view.rgb[number].numpy(), grounds[i].rgb[square], atol=0.02)
        np.testing.assert_array_equal(view.parts[number].numpy(), grounds[i].parts[square])
        np.testing.assert_array_equal(view.semantic[number].numpy(), grounds[i].semantic[square])
        seen += 1
    assert seen > 10


def test_a_coarse_window_shows_means_of_colours(grounds):
    """Half and a quarter of the resolution: the levels of the bank, each the mean of squares."""
    made = rectangles((160, 160), (0, 0, 160, 160))
    bank = Bank([made])
    view = look(bank, plain_windows(bank, torch.tensor([0]), torch.tensor([1]), SIZE), SIZE)
    means = made.rgb.reshape(SIZE, 4, SIZE, 4, 3).mean((1, 3))
    np.testing.assert_allclose(view.rgb[0].numpy(), means, atol=1.5)


def test_levels_of_odd_sizes_are_read_in_place():
    """An eighth of 121 rows is 16 of 15.1; the colours tell where they were."""
    rows, cols = np.indices((121, 160))
    rgb = np.stack([cols, 2 * rows, cols], -1).astype(np.uint8)
    made = label_ground(PROCEDURAL, "0", rgb, np.zeros((121, 160), np.uint8), (cols > 20).astype(np.int32))
    bank = Bank([made])
    windows = plain_windows(bank, torch.tensor([0]), torch.tensor([1]), 15)
    left, top, side = corner_and_side(windows, 0)
    assert side == 121
    seen = look(bank, windows, 15).rgb[0]
    places = (np.arange(15) + 0.5) * side / 15 - 0.5
    # Half a pixel of the coarsest level at the edges, where the outermost is shown again.
    np.testing.assert_allclose(seen[7, 1:-1, 0], places[1:-1] + left, atol=1)
    np.testing.assert_allclose(seen[1:-1, 7, 1] / 2, places[1:-1] + top, atol=1)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_right_angles_and_mirrors_move_pixels_and_change_none(turns, mirror):
    made = random_rectangles(np.random.default_rng(3), (50, 60), 20)
    bank = Bank([made])
    middle = torch.tensor([32.0]), torch.tensor([24.0]), torch.tensor([20.0])
    number, angle = torch.tensor([0]), torch.tensor([turns * math.pi / 2])
    windows = module._frames(number, number, *middle, angle, 1.0, torch.tensor([mirror]))
    view = look(bank, windows, SIZE)
    square = slice(4, 44), slice(12, 52)

    def moved(values: np.ndarray) -> np.ndarray:
        turned = np.rot90(values[square], turns)
        return turned[:, ::-1] if mirror < 0 else turned

    np.testing.assert_allclose(view.rgb[0].numpy(), moved(made.rgb), atol=0.02)
    np.testing.assert_array_equal(view.parts[0].numpy(), moved(made.parts))
    np.testing.assert_array_equal(view.semantic[0].numpy(), moved(made.semantic))


def test_beyond_the_edge_the_image_is_mirrored():
    made = random_rectangles(np.random.default_rng(3), (30, 30), 8)
    bank, number = Bank([made]), torch.tensor([0])
    view = look(bank, Windows(number, number, torch.tensor([[[25.0, 0, 15], [0, 25, 15]]])), 50)
    for name, kept in (("rgb", made.rgb), ("parts", made.parts), ("semantic", made.semantic)):
        widths = [(10, 10), (10, 10), (0, 0)][: kept.ndim]
        expected = np.pad(kept, widths, mode="symmetric")
        np.testing.assert_allclose(getattr(view, name)[0].numpy(), expected, atol=0.02)


@pytest.fixture(scope="module")
def chart() -> Ground:
    """Red tells the column and green the row, both doubled; every square of 8 pixels is an object."""
    rows, cols = np.indices((120, 128))
    rgb = np.stack([2 * cols, 2 * rows, np.zeros_like(rows)], -1).astype(np.uint8)
    objects = rows // 8 * 16 + cols // 8 + 1
    semantic = ((rows // 8 + cols // 8) % 2).astype(np.uint8)
    return label_ground(PROCEDURAL, "chart", rgb, semantic, objects)


@pytest.mark.parametrize("size", [12, 24, 48])
def test_colours_and_labels_stay_together_under_any_window(chart, size):
    bank = Bank([chart])
    generator = torch.Generator().manual_seed(0)
    part = torch.randint(1, len(chart.table.area), (96,), generator=generator)
    windows = loose_windows(bank, torch.zeros_like(part), part, size, generator)
    view = look(bank, windows, size)
    where = view.rgb[..., :2] / 2 + 0.5
    # Means across the mirrored edge, and pixels at the border of two squares, can tell nothing.
    limits = torch.tensor([128.0, 120.0])
    clear = ((where > 6) & (where < limits - 6)).all(-1)
    clear &= ((where % 8 > 0.05) & (where % 8 < 7.95)).all(-1)
    col, row = (where // 8).long().unbind(-1)
    expected = row * 16 + col + 1
    owner = torch.from_numpy(chart.table.object_of.astype(np.int64))[view.parts]
    assert clear.float().mean() > 0.5
    assert (owner == expected)[clear].all()
    assert (view.semantic == (row + col) % 2)[clear].all()


def test_loose_windows_are_turned_scaled_stretched_and_mirrored(chart):
    bank = Bank([chart])
    generator = torch.Generator().manual_seed(0)
    part = torch.randint(1, len(chart.table.area), (1000,), generator=generator)
    frame = loose_windows(bank, torch.zeros_like(part), part, 16, generator).frame[:, :, :2]
    across, down = frame.norm(dim=1).unbind(-1)
    straight = (frame[:, 0, 0].abs() < 1e-4) | (frame[:, 1, 0].abs() < 1e-4)
    assert 0.4 < straight.float().mean() < 0.6
    assert 0.4 < (torch.linalg.det(frame) < 0).float().mean() < 0.6
    stretched = (down / across - 1).abs() > 1e-3
    assert 0.2 < stretched.float().mean() < 0.4 and (down / across).min() > 0.8
    # A window of 16 pixels one to one has a half side of 8.
    assert across.min() < 6 and across.max() > 24
    torch.testing.assert_close((frame[..., 0] * frame[..., 1]).sum(1), torch.zeros(1000), atol=1e-3, rtol=0)


def test_a_small_part_lies_anywhere_in_its_loose_window(chart):
    bank = Bank([chart])
    generator = torch.Generator().manual_seed(0)
    part = torch.randint(1, len(chart.table.area), (1000,), generator=generator)
    windows = loose_windows(bank, torch.zeros_like(part), part, 16, generator)
    box = bank.box[0, part]
    middle = (box[:, :2] + box[:, 2:]) / 2
    offset = torch.linalg.solve(windows.frame[:, :, :2], middle - windows.frame[:, :, 2])
    # From -1 to 1 across the window.
    assert (offset.abs() < 1).all(1).float().mean() > 0.97
    for axis in (0, 1):
        assert 0.35 < offset[:, axis].std() < 0.5 and offset[:, axis].mean().abs() < 0.05


def test_loose_windows_show_their_part_and_hardly_leave_the_image(grounds):
    bank = Bank(grounds)
    image, part = all_parts(grounds)
    image, part = image.repeat(8), part.repeat(8)
    windows = loose_windows(bank, image, part, SIZE, torch.Generator().manual_seed(0))
    shown = (look(bank, windows, SIZE).parts == part[:, None, None]).flatten(1).any(1)
    assert shown.float().mean() > 0.85
    middle, size = windows.frame[:, :, 2], bank.layout.size[image, 0].flip(-1)
    half = windows.frame[:, :, 0].norm(dim=1, keepdim=True)
    assert (middle >= half - 1e-3).all() and (middle <= size - half + 1e-3).all()


@pytest.fixture(scope="module")
def shared() -> Bank:
    """Datasets of one and three images, two scenes, an empty slot; each image has parts of 64, 1024 and 36 pixels."""
    places = (0, 0, 8, 8), (10, 0, 42, 32), (0, 20, 6, 26)
    sources = ["one", "three", "three", "three", PROCEDURAL, PROCEDURAL]
    grounds = [rectangles((50, 50), *places, source=source, image_id=str(i)) for i, source in enumerate(sources)]
    return Bank(grounds, slots=1, slot_size=50)


def test_datasets_have_their_shares(shared):
    image, part = draw_parts(shared, 8000, 0.6, torch.Generator().manual_seed(0))
    assert (image[::2] == image[1::2]).all() and (part[::2] != part[1::2]).any()
    shares = torch.bincount(image, minlength=7) / len(image)
    expected = torch.tensor([0.3, 0.1, 0.1, 0.1, 0.2, 0.2, 0])
    torch.testing.assert_close(shares, expected, atol=0.03, rtol=0)


def test_half_of_the_parts_are_drawn_evenly_and_small_ones_never(shared):
    image, part = draw_parts(shared, 8000, 0.6, torch.Generator().manual_seed(0))
    area = shared.area[image, part]
    assert set(area.tolist()) == {64, 1024}
    # Extents are 8 and 32: half of the time 1 to 1, half 1 to 4.
    assert (area == 64).float().mean() == pytest.approx(0.5 * 0.5 + 0.5 * 0.2, abs=0.03)


@pytest.mark.parametrize(("sources", "real_share"), [(["one"], 0.0), ([PROCEDURAL], 1.0)])
def test_a_bank_without_the_wanted_kind_gives_the_other(sources, real_share):
    bank = Bank([rectangles((20, 20), (0, 0, 9, 9), source=source) for source in sources])
    image, part = draw_parts(bank, 4, real_share, torch.Generator().manual_seed(0))
    assert image.tolist() == [0] * 4 and part.tolist() == [1] * 4


def test_an_image_without_parts_still_gives_a_window():
    bank = Bank([rectangles((50, 60))])
    image, part = draw_parts(bank, 2, 0.5, torch.Generator().manual_seed(0))
    assert part.tolist() == [0, 0]
    for windows in (
        plain_windows(bank, image, part, SIZE),
        loose_windows(bank, image, part, SIZE, torch.Generator().manual_seed(0)),
    ):
        assert torch.isfinite(look(bank, windows, SIZE).rgb).all()
