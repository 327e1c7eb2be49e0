// B batch, T queries, S keys, H heads, D head width, C = H·D.
#include "kernels/attention.h"

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::expect_close;
using testing::Guarded;
using testing::normal;
using testing::on_any_threads;

using Reference = std::vector<double>;
using MaskDims = std::array<bool, 4>;  ///< which of B, H, T, S the mask has

struct AttentionCase {
  std::int64_t B, H, T, S, D;
  bool causal = false;
  bool masked = false;
  MaskDims mask{};
  std::string text() const {
    return "B" + std::to_string(B) + " H" + std::to_string(H) + " T" + std::to_string(T) + " S" + std::to_string(S) +
           " D" + std::to_string(D) + (causal ? " causal" : "") + (masked ? " masked" : "");
  }
};

const std::vector<AttentionCase> kAttentionCases = {
    {1, 1, 1, 1, 1},
    {2, 3, 5, 7, 4},
    {1, 2, 33, 40, 16, true},
    {2, 2, 130, 129, 8, true},
    {1, 2, 31, 300, 10},
    {1, 1, 300, 31, 20, true},
    {1, 2, 128, 128, 32, true},
    {1, 1, 40, 260, 65, true},
    {2, 3, 17, 33, 12, false, true, {true, true, true, true}},
    {2, 2, 20, 150, 16, false, true, {false, false, true, true}},
    {2, 2, 9, 140, 16, true, true, {true, false, false, true}},
    {1, 2, 6, 10, 3, false, true, {false, true, true, false}},
    {9, 2, 3, 3, 7, true},
};

struct Problem {
  explicit Problem(const AttentionCase& c)
      : q(normal(c.B * c.T * c.H * c.D, 1)),
        k(normal(c.B * c.S * c.H * c.D, 2)),
        v(normal(c.B * c.S * c.H * c.D, 3)),
        dout(normal(c.B * c.T * c.H * c.D, 4)),
        mask(make_mask(c)) {
    shape = {c.B, c.H, c.T, c.S, c.D, static_cast<float>(1 / std::sqrt(static_cast<double>(c.D))), c.causal};
    if (!c.masked) return;
    shape.mask = mask.data();
    std::int64_t stride = 1;
    const std::int64_t extents[4] = {c.B, c.H, c.T, c.S};
    for (std::size_t dim = 4; dim-- > 0;) {
      shape.mask_strides[dim] = c.mask[dim] ? stride : 0;
      if (c.mask[dim]) stride *= extents[dim];
    }
  }

  static Guarded<float> make_mask(const AttentionCase& c) {
    const std::int64_t extents[4] = {c.B, c.H, c.T, c.S};
    std::int64_t n = 1;
    for (std::size_t dim = 0; dim < 4; ++dim) n *= c.mask[dim] ? extents[dim] : 1;
    auto values = normal(n, 5);
    // Added to all keys of a query, -10000 would leave nothing of the scores' digits.
    const float low = c.mask[3] ? -10000.0f : -10.0f;
    for (std::int64_t i = 0; i < n; i += 3) values[i] = i % 2 == 0 ? low : -std::numeric_limits<float>::infinity();
    values[n - 1] = 0;
    return values;
  }

  Guarded<float> q, k, v, dout, mask;
  AttentionShape shape;
};

struct Result {
  Reference o, lse, dq, dk, dv;
};

/// Everything in double, one query at a time.
Result reference_of(const AttentionCase& c, const Problem& p) {
  const std::int64_t C = c.H * c.D;
  Result r{Reference(static_cast<std::size_t>(c.B * c.T * C)), Reference(static_cast<std::size_t>(c.B * c.H * c.T)),
           Reference(static_cast<std::size_t>(c.B * c.T * C)), Reference(static_cast<std::size_t>(c.B * c.S * C)),
           Reference(static_cast<std::size_t>(c.B * c.S * C))};
  for (std::int64_t row = 0; row < c.B * c.H * c.T; ++row) {
    const std::int64_t t = row % c.T, h = row / c.T % c.H, b = row / c.T / c.H;
    const std::int64_t q0 = (b * c.T + t) * C + h * c.D;
    const auto k0 = [&](std::int64_t s) { return (b * c.S + s) * C + h * c.D; };
    const auto dot = [&](const Guarded<float>& x, std::int64_t at, const Guarded<float>& y, std::int64_t from) {
      double sum = 0;
      for (std::int64_t d = 0; d < c.D; ++d) sum += static_cast<double>(x[at + d]) * static_cast<double>(y[from + d]);
      return sum;
    };
    Reference scores, ps;
    double maximum = -INFINITY;
    for (std::int64_t s = 0; s < c.S; ++s) {
      double score = static_cast<double>(p.shape.scale) * dot(p.q, q0, p.k, k0(s));
      const auto& m = p.shape.mask_strides;
      if (c.masked) score += static_cast<double>(p.mask[b * m[0] + h * m[1] + t * m[2] + s * m[3]]);
      if (c.causal && s > t) score = -INFINITY;
      scores.push_back(score);
      maximum = std::max(maximum, score);
    }
    double sum = 0;
    for (const double score : scores) sum += maximum == -INFINITY ? 0 : std::exp(score - maximum);
    for (const double score : scores) ps.push_back(sum == 0 ? 0 : std::exp(score - maximum) / sum);
    r.lse[static_cast<std::size_t>(row)] = maximum + std::log(sum);
    double delta = 0;
    for (std::int64_t s = 0; s < c.S; ++s) {
      const double weight = ps[static_cast<std::size_t>(s)];
      delta += weight * dot(p.dout, q0, p.v, k0(s));
      for (std::int64_t d = 0; d < c.D; ++d) {
        r.o[static_cast<std::size_t>(q0 + d)] += weight * static_cast<double>(p.v[k0(s) + d]);
        r.dv[static_cast<std::size_t>(k0(s) + d)] += weight * static_cast<double>(p.dout[q0 + d]);
      }
    }
    for (std::int64_t s = 0; s < c.S; ++s) {
      const double slope =
          ps[static_cast<std::size_t>(s)] * (dot(p.dout, q0, p.v, k0(s)) - delta) * static_cast<double>(p.shape.scale);
      for (std::int64_t d = 0; d < c.D; ++d) {
        r.dq[static_cast<std::size_t>(q0 + d)] += slope * static_cast<double>(p.k[k0(s) + d]);
        r.dk[static_cast<std::size_t>(k0(s) + d)] += slope * static_cast<double>(p.q[q0 + d]);
      }
    }
  }
  return r;
}

struct Found {
  Guarded<float> o, lse, dq, dk, dv;
  friend bool operator==(const Found& a, const Found& b) {
    return a.o == b.o && a.lse == b.lse && a.dq == b.dq && a.dk == b.dk && a.dv == b.dv;
  }
};

Found run(const AttentionCase& c, const Problem& p) {
  const std::int64_t C = c.H * c.D;
  Found f{Guarded<float>(c.B * c.T * C), Guarded<float>(c.B * c.H * c.T), Guarded<float>(c.B * c.T * C),
          Guarded<float>(c.B * c.S * C), Guarded<float>(c.B * c.S * C)};
  cpu::attention(f.o.data(), f.lse.data(), {p.q.data(), C}, {p.k.data(), C}, {p.v.data(), C}, p.shape);
  cpu::attention_grad({f.dq.data(), C}, {f.dk.data(), C}, {f.dv.data(), C}, p.dout.data(), {p.q.data(), C},
                      {p.k.data(), C}, {p.v.data(), C}, f.o.data(), f.lse.data(), p.shape);
  return f;
}

class Attention : public testing::IsaTest {};

TEST_P(Attention, EqualsTheReference) {
  for (const AttentionCase& c : kAttentionCases) {
    const Problem p(c);
    const Result wanted = reference_of(c, p);
    set_threads(1);
    const Found found = run(c, p);
    set_threads(2);
    EXPECT_TRUE(found == run(c, p)) << c.text() << " depends on the number of threads";
    // Scores of magnitude 4 are rounded to 5e-7, which their exponentials keep as a relative error.
    expect_close(found.o, wanted.o, 4e-6, 2e-6, "o " + c.text());
    expect_close(found.lse, wanted.lse, 2e-6, 1e-6, "lse " + c.text());
    expect_close(found.dq, wanted.dq, 1e-5, 5e-6, "dq " + c.text());
    expect_close(found.dk, wanted.dk, 1e-5, 5e-6, "dk " + c.text());
    expect_close(found.dv, wanted.dv, 1e-5, 5e-6, "dv " + c.text());
  }
}

TEST_P(Attention, PackedOperandsGiveTheSameBits) {
  const AttentionCase c{2, 3, 50, 50, 12, true};
  const Problem p(c);
  const Found apart = run(c, p);
  const std::int64_t C = c.H * c.D, rows = c.B * c.T;
  Guarded<float> qkv(rows * 3 * C), dqkv(rows * 3 * C), o(rows * C), lse(c.B * c.H * c.T);
  for (std::int64_t i = 0; i < rows * C; ++i) {
    const std::int64_t at = i / C * 3 * C + i % C;
    qkv[at] = p.q[i];
    qkv[at + C] = p.k[i];
    qkv[at + 2 * C] = p.v[i];
  }
  const TokenRows<const float> q{qkv.data(), 3 * C}, k{qkv.data() + C, 3 * C}, v{qkv.data() + 2 * C, 3 * C};
  cpu::attention(o.data(), lse.data(), q, k, v, p.shape);
  cpu::attention_grad({dqkv.data(), 3 * C}, {dqkv.data() + C, 3 * C}, {dqkv.data() + 2 * C, 3 * C}, p.dout.data(), q, k,
                      v, o.data(), lse.data(), p.shape);
  EXPECT_TRUE(o == apart.o && lse == apart.lse);
  for (std::int64_t i = 0; i < rows * C; ++i) {
    const std::int64_t at = i / C * 3 * C + i % C;
    ASSERT_EQ(dqkv[at], apart.dq[i]);
    ASSERT_EQ(dqkv[at + C], apart.dk[i]);
    ASSERT_EQ(dqkv[at + 2 * C], apart.dv[i]);
  }
  EXPECT_TRUE(dqkv.intact());
}

TEST_P(Attention, QueriesThatSeeNothingGiveZeros) {
  const AttentionCase c{1, 1, 3, 5, 8, false, true, {false, false, true, true}};
  Problem p(c);
  for (std::int64_t s = 0; s < 5; ++s) p.mask[5 + s] = -std::numeric_limits<float>::infinity();
  const Found found = run(c, p);
  for (std::int64_t d = 0; d < 8; ++d) {
    EXPECT_EQ(found.o[8 + d], 0.0f);
    EXPECT_EQ(found.dq[8 + d], 0.0f);
  }
  for (const float x : std::vector<float>(found.dk.data(), found.dk.data() + 40)) EXPECT_TRUE(std::isfinite(x));
}

DML_INSTANTIATE_ISA(Attention);

}  // namespace
}  // namespace dml
