#include "kernels/dropout.h"

#include "kernels/philox.h"
#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::Guarded;
using testing::on_any_threads;

constexpr DropoutSite kSite{0x123456789abcdef0u, 41, 7, 1000, 0.3};

/// Whether an element of the whole tensor is kept, by the definition.
bool is_kept(const DropoutSite& site, std::int64_t sample, std::int64_t element) {
  const auto word = [](auto x) { return static_cast<std::uint32_t>(x); };
  const auto block = philox4x32({word(element / 4), word(sample), word(site.step), word(site.site)},
                                {word(site.seed), word(site.seed >> 32)});
  return static_cast<double>(block[static_cast<std::size_t>(element % 4)]) >= std::floor(site.ratio * 4294967296.0);
}

class Dropout : public testing::IsaTest {};

TEST_P(Dropout, FollowsTheCounters) {
  for (const std::int64_t elems : {1, 3, 4, 127, 128, 129, 1001, 20011}) {
    const std::int64_t samples = 3;
    Guarded<float> x(samples * elems, 2.0f);
    const auto y = on_any_threads<float>(
        [&] {
          Guarded<float> out(x.size());
          cpu::dropout(out.data(), x.data(), samples, elems, kSite, {elems, elems, 0});
          return out;
        },
        "dropout");
    for (std::int64_t i = 0; i < y.size(); ++i) {
      const float wanted = is_kept(kSite, 1000 + i / elems, i % elems) ? 2.0f * static_cast<float>(1 / 0.7) : 0.0f;
      ASSERT_EQ(y[i], wanted) << elems << " elements, element " << i;
    }
    EXPECT_TRUE(y.intact());
  }
}

TEST_P(Dropout, ShardsAndMicrobatchesDropTheSameElements) {
  // Samples of 3 tokens, 2 blocks of 5 units of 6 elements.
  const std::int64_t samples = 4, tokens = 3, outer = 2, units = 5, inner = 6, elems = tokens * outer * units * inner;
  Guarded<float> x(samples * elems, 1.0f), whole(x.size());
  cpu::dropout(whole.data(), x.data(), samples, elems, kSite, {elems, elems, 0});
  for (std::int64_t begin = 0; begin < units; ++begin) {
    for (std::int64_t end = begin; end <= units; ++end) {
      const std::int64_t block = (end - begin) * inner, local = tokens * outer * block;
      Guarded<float> y(2 * local);
      DropoutSite later = kSite;
      later.first_sample += 2;
      cpu::dropout(y.data(), x.data(), 2, local, later, {block, units * inner, begin * inner});
      for (std::int64_t i = 0; i < y.size(); ++i) {
        const std::int64_t in_sample = i % local;
        const std::int64_t element = in_sample / block * units * inner + begin * inner + in_sample % block;
        ASSERT_EQ(y[i], whole[(2 + i / local) * elems + element]) << begin << " to " << end << " element " << i;
      }
      EXPECT_TRUE(y.intact());
    }
  }
}

TEST_P(Dropout, RatiosAreKept) {
  const std::int64_t n = 100000;
  Guarded<float> x(n, 1.0f), y(n);
  for (const double ratio : {0.0, 0.1, 0.5, 0.9, 1.0}) {
    DropoutSite site = kSite;
    site.ratio = ratio;
    cpu::dropout(y.data(), x.data(), 1, n, site, {n, n, 0});
    std::int64_t dropped = 0;
    for (const float value : y) dropped += value == 0.0f;
    EXPECT_NEAR(static_cast<double>(dropped) / n, ratio, 4 * std::sqrt(0.25 / n)) << ratio;
  }
}

DML_INSTANTIATE_ISA(Dropout);

}  // namespace
}  // namespace dml
