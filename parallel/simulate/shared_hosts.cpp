#include "parallel/simulate/shared_hosts.h"

#include <algorithm>
#include <map>

#include "models/index.h"

namespace dml {
namespace {

using HostContent = std::map<int, int>;  ///< class -> how many of its ranks a host holds

/// Of the host of each class's first rank.
std::vector<HostContent> host_contents(const RankClasses& classes, const Sharing& sharing) {
  std::vector<HostContent> contents;
  for (const int rank : classes.first_ranks()) {
    HostContent& content = contents.emplace_back();
    if (sharing.ranks <= sharing.at_full_speed) {
      content[classes.class_of(rank)] = 1;
      continue;
    }
    const int first = rank / sharing.ranks * sharing.ranks;
    const int end = std::min(first + sharing.ranks, classes.mesh().world_size());
    for (int other = first; other < end; ++other) ++content[classes.class_of(other)];
  }
  return contents;
}

}  // namespace

SharedHosts::SharedHosts(const RankClasses& classes, const Sharing& sharing)
    : ranks_at_full_speed_(sharing.slows() ? sharing.at_full_speed : 1) {
  std::map<HostContent, int> numbers;
  const std::vector<HostContent> contents = host_contents(classes, sharing);
  for (int i = 0; i < classes.size(); ++i) {
    const HostContent& content = contents[index(i)];
    host_of_.push_back(numbers.try_emplace(content, static_cast<int>(numbers.size())).first->second);
    ranks_there_.push_back(content.at(i));
  }
  hosts_.resize(numbers.size());
}

double SharedHosts::speed(const Host& host) const {
  return host.running == 0 ? 1 : std::min(1.0, ranks_at_full_speed_ / host.running);
}

void SharedHosts::go_on(Host& host, double now) const {
  host.work += (now - host.since) * speed(host);
  host.since = now;
}

void SharedHosts::foresee(int number) {
  Host& host = hosts_[index(number)];
  ++host.changes;
  if (host.ends.empty()) return;
  const double left = std::max(0.0, std::get<0>(host.ends.top()) - host.work);
  events_.push({host.since + left / speed(host), number, host.changes});
}

void SharedHosts::begin(int rank_class, std::int32_t task, double seconds, double now) {
  const int number = host_of_[index(rank_class)];
  Host& host = hosts_[index(number)];
  go_on(host, now);
  host.ends.emplace(host.work + seconds, rank_class, task);
  host.running += ranks_there_[index(rank_class)];
  foresee(number);
}

double SharedHosts::next_end() {
  while (!events_.empty() && events_.top().changes != hosts_[index(events_.top().host)].changes) events_.pop();
  return events_.empty() ? std::numeric_limits<double>::infinity() : events_.top().at;
}

SharedHosts::Ended SharedHosts::end_next() {
  const Event event = events_.top();
  events_.pop();
  Host& host = hosts_[index(event.host)];
  const auto [work, rank_class, task] = host.ends.top();
  host.ends.pop();
  host.work = work;
  host.since = event.at;
  host.running -= ranks_there_[index(rank_class)];
  foresee(event.host);
  return {rank_class, task};
}

}  // namespace dml
