"""What launches of the CUDA kernels move and compute, at the sizes of a step of GPT-2 124M in f32, and the registers
that each kernel may take. Bytes are counted once per operand: what a kernel reads again comes from the caches."""

import dataclasses

# B sequences, T tokens, C channels, H heads, D head width, V vocabulary.
B, T, C, H, V = 8, 1024, 768, 12, 50257
D = C // H
ROWS = B * T
F = 4  # bytes of a float

# Registers that a thread may take: what a block of this many threads needs to keep half of the warps resident, unless
# stated otherwise.
DEFAULT_BUDGET = 64
BUDGETS = {
    # Results in registers are what these kernels live from; three blocks of 128 threads fit a multiprocessor.
    "attention": 168,
    "attention_grad": 168,
}


@dataclasses.dataclass
class Cost:
    kernel: str
    what: str  # the launch, in words
    instance: tuple  # parts of the template arguments that name the instance
    threads: int  # of a block
    moved: float  # bytes
    flops: float
    dynamic_shared: int = 0  # bytes


def attention_shared(width, rows, columns, own, score_tiles):
    """Bytes of `own` row tiles, as many column tiles and score tiles: Tiling of kernels/cuda/attention.cu."""
    stride = width + 4
    return F * (own * (rows + columns) * stride + score_tiles * rows * (columns + 4))


CAUSAL = 0.5  # part of the scores that a query sees
SCORES = B * H * T * T * CAUSAL
ELEMS = ROWS * C
LOGITS = ROWS * V
PARAMETERS = 124_439_808
IMAGES = 32 * 64 * 112 * 112  # elements of ResNet's first activations

COSTS = (
    Cost("map", "residual addition, 8,192 × 768", ("ops::Add<float>", "4,"), 256, 3 * ELEMS * F, ELEMS),
    Cost("map", "GELU (erf), 8,192 × 3,072", ("ops::Gelu,", "4,"), 256, 2 * 4 * ELEMS * F, 4 * ELEMS * 20),
    Cost("map", "GELU's gradient, 8,192 × 3,072", ("ops::GeluGrad", "4,"), 256, 3 * 4 * ELEMS * F, 4 * ELEMS * 30),
    Cost("dropout", "8,192 × 768", ("float",), 256, 2 * ELEMS * F, ELEMS * 25),
    Cost("layer_norm", "8,192 × 768", ("32, 4, float",), 128, 2 * ELEMS * F, 8 * ELEMS),
    Cost("layer_norm_grad", "8,192 × 768", ("32, 4, float",), 128, 3 * ELEMS * F, 14 * ELEMS),
    Cost("sum_columns", "gradients of scale and bias, 8,192 × 768", ("LayerNormParamTerms<float>", "4,"), 256,
         2 * ELEMS * F, 5 * ELEMS),
    Cost("sum_columns", "gradient of a bias, 8,192 × 3,072", ("ReduceTerms<float>", "4,"), 256, 4 * ELEMS * F, 4 * ELEMS),
    Cost("sum_rows", "sum over the last dim, 8,192 × 768", ("32, 4, float",), 128, ELEMS * F, ELEMS),
    Cost("softmax_rows", "96 × 1,024 × 1,024", ("32, 4, float",), 128, 2 * B * H * T * T * F, 10 * B * H * T * T),
    Cost("softmax_grad_rows", "96 × 1,024 × 1,024", ("32, 4, float",), 128, 3 * B * H * T * T * F, 4 * B * H * T * T),
    Cost("cross_entropy", "8,192 × 50,257", ("256, 1, float",), 256, LOGITS * F, 10 * LOGITS),
    Cost("cross_entropy_grad", "8,192 × 50,257", ("256, 1, float",), 256, 2 * LOGITS * F, 10 * LOGITS),
    Cost("attention", "causal, 8 × 12 heads × 1,024 × 64", ("Tiling<64,", "float"), 128, 4 * ELEMS * F,
         4 * SCORES * D, F * ((64 + 32) * 68 + 64 * 36)),
    Cost("attention_grad", "dK and dV of the same", ("(dml::cuda::kernels::Owned)0", "Tiling<64,", "float"), 128,
         6 * ELEMS * F, 8 * SCORES * D, attention_shared(64, 32, 32, 2, 2)),
    Cost("attention_grad", "dQ of the same", ("(dml::cuda::kernels::Owned)1", "Tiling<64,", "float"), 128,
         5 * ELEMS * F, 6 * SCORES * D, attention_shared(64, 32, 32, 2, 1)),
    Cost("adam", "AdamW, 124,439,808 weights", ("true",), 256, 7 * PARAMETERS * F, 15 * PARAMETERS),
    Cost("sum_parts", "squares of 124,439,808 gradients", (), 256, PARAMETERS * F, 2 * PARAMETERS),
    Cost("copy_rows", "8,192 rows of 768 by index", ("uint4", "long"), 256, 2 * ELEMS * F, 0),
    Cost("sum_gathered", "gradient of 50,257 × 768 by 8,192 rows", ("float",), 256, (ELEMS + V * C) * F, ELEMS),
    Cost("copy", "heads to the front, 8 × 1,024 × 12 × 64", ("uint4",), 256, 2 * ELEMS * F, 0),
    Cost("turn", "transpose, 8,192 × 768", ("unsigned int",), 256, 2 * ELEMS * F, 0),
    Cost("cast", "f32 to bf16, 8,192 × 3,072", ("bf16, float",), 256, 4 * ELEMS * (F + 2), 4 * ELEMS),
    Cost("normalize", "batch norm, 32 × 64 × 112 × 112", ("512, float",), 512, 4 * IMAGES * F, 6 * IMAGES),
    Cost("normalize_grad", "its gradient", ("512, float",), 512, 5 * IMAGES * F, 10 * IMAGES),
    Cost("max_pool", "3 × 3 by 2 of the same", ("float",), 256, IMAGES * (F + (F + 4) / 4), 9 * IMAGES / 4),
)
