#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace dml {
namespace {

TEST(Isa, NamesAreParsed) {
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) EXPECT_EQ(parse_isa(name_of(isa)), isa);
  EXPECT_THROW(parse_isa("sse9"), std::invalid_argument);
}

TEST(Isa, CapLowersAndNeverRaises) {
  const Isa before = active_isa();
  cap_isa(Isa::portable);
  EXPECT_EQ(active_isa(), Isa::portable);
  cap_isa(Isa::avx512);
  EXPECT_EQ(active_isa(), detected_isa());
  cap_isa(before);
}

}  // namespace
}  // namespace dml
