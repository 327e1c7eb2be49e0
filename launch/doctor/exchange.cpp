#include "launch/doctor/exchange.h"

#include <numeric>

namespace dml {

std::vector<std::string> gather_texts(Communicator& world, const std::string& mine) {
  const auto size = static_cast<std::size_t>(world.size());
  std::vector<std::int64_t> lengths(size);
  auto length = static_cast<std::int64_t>(mine.size());
  world.wait(world.all_gather({lengths.data(), DataType::i64, Shape{world.size()}}, {&length, DataType::i64, Shape{1}},
                              std::vector<std::int64_t>(size, 1)));
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  std::string all(static_cast<std::size_t>(total), '\0');
  std::string own = mine;
  world.wait(
      world.all_gather({all.data(), DataType::u8, Shape{total}}, {own.data(), DataType::u8, Shape{length}}, lengths));
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (const std::int64_t of_rank : lengths) {
    texts.push_back(all.substr(begin, static_cast<std::size_t>(of_rank)));
    begin += static_cast<std::size_t>(of_rank);
  }
  return texts;
}

}  // namespace dml
