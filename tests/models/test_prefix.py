"""What is kept of an image's way through the frozen blocks."""

from __future__ import annotations

import numpy as np
import torch

from seglab.models.prefix import Prefix, high_pass
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec

SMALL = SamSpec("small", 64, 8, 32, 2, 2, (1,), 4, 32, 64)


def test_high_pass_is_the_published_one() -> None:
    image = torch.randn(2, 3, 64, 64)
    spectrum = np.fft.fftshift(np.fft.fft2(image.numpy()), axes=(-2, -1))
    spectrum[..., 16:48, 16:48] = 0  # half of each side: a quarter of the area
    expected = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(-2, -1))).real)
    np.testing.assert_allclose(high_pass(image).numpy(), expected, atol=1e-5)


def test_high_pass_of_a_flat_image_is_nothing() -> None:
    assert high_pass(torch.full((1, 3, 32, 32), 3.0)).abs().max() < 1e-5


@torch.inference_mode()
def test_a_prefix_carries_the_high_pass_image_and_the_extra_bands() -> None:
    model, image, extra = AdaptedSam(SMALL, adapt_from=1).eval(), torch.randn(2, 3, 64, 64), torch.randn(2, 4, 64, 64)
    prefix = model.encode_prefix(image, extra)
    torch.testing.assert_close(prefix.high_pass, high_pass(image))
    torch.testing.assert_close(prefix.extra, extra)
    assert prefix.tokens.shape == prefix.patches.shape == (2, 8, 8, SMALL.width)


def test_stored_is_half_precision_and_comes_back() -> None:
    prefix = Prefix(*(torch.randn(1, 4) for _ in range(4)))
    back = prefix.stored().to(torch.device("cpu"), torch.float32)
    for part in ("tokens", "patches", "high_pass", "extra"):
        assert getattr(prefix.stored(), part).dtype == torch.float16
        assert torch.equal(getattr(back, part), getattr(prefix, part).half().float())
    assert Prefix(*(torch.randn(1, 4) for _ in range(3))).stored().extra is None
