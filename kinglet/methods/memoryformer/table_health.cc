#include "kinglet/methods/memoryformer/table_health.h"

#include <algorithm>
#include <cmath>

#include "kinglet/methods/memoryformer/memory_projection.h"

namespace kinglet {
namespace {

TableHealth health_of(const MemoryUsage& usage) {
  TableHealth health{usage.place, usage.tables, usage.bits, 0.0, static_cast<double>(usage.bits), 0.0, 0.0};
  const std::int64_t rows = std::int64_t{1} << usage.bits;
  const auto tokens = static_cast<double>(usage.tokens), tables = static_cast<double>(usage.tables);
  std::int64_t dead = 0;
  for (std::int64_t table = 0; table < usage.tables; ++table) {
    double entropy = 0.0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t reads = usage.reads[static_cast<std::size_t>(table * rows + row)];
      const double part = static_cast<double>(reads) / tokens;
      if (reads == 0) {
        ++dead;
      } else {
        entropy -= part * std::log2(part);
      }
    }
    health.entropy += entropy / tables;
    health.least_entropy = std::min(health.least_entropy, entropy);
  }
  health.dead = static_cast<double>(dead) / (tables * static_cast<double>(rows));
  health.mean_p = usage.sum_of_p / (tokens * tables);
  return health;
}

// Records while it lives, also when `run` throws.
class Recording {
 public:
  explicit Recording(const Decoder& decoder) : projections_(memory_projections(decoder)) {
    for (const auto& projection : projections_) {
      usages_.push_back(std::make_shared<MemoryUsage>());
      projection->set_usage(usages_.back());
    }
  }
  ~Recording() {
    for (const auto& projection : projections_) projection->set_usage(nullptr);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  std::vector<TableHealth> result() const {
    std::vector<TableHealth> all;
    for (const auto& usage : usages_) {
      if (usage->tokens > 0) all.push_back(health_of(*usage));  // key and value share the query's hash
    }
    return all;
  }

 private:
  std::vector<std::shared_ptr<MemoryProjection>> projections_;
  std::vector<std::shared_ptr<MemoryUsage>> usages_;
};

}  // namespace

std::vector<std::pair<std::string, double>> summary_of(const std::vector<TableHealth>& health) {
  std::vector<std::pair<std::string, double>> all;
  for (const std::string kind : {"attention", "up", "down"}) {
    double count = 0, entropy = 0, least = 1, dead = 0, p = 0;
    for (const TableHealth& one : health) {
      if (!one.place.ends_with("." + kind)) continue;
      ++count;
      entropy += one.entropy / one.bits;
      least = std::min(least, one.least_entropy / one.bits);
      dead += one.dead;
      p += one.mean_p;
    }
    if (count == 0) continue;
    all.emplace_back("tables/" + kind + "/entropy", entropy / count);
    all.emplace_back("tables/" + kind + "/least_entropy", least);
    all.emplace_back("tables/" + kind + "/dead", dead / count);
    all.emplace_back("tables/" + kind + "/mean_p", p / count);
  }
  return all;
}

std::vector<TableHealth> table_health(const Decoder& decoder, const std::function<void()>& run) {
  const Recording recording(decoder);
  run();
  return recording.result();
}

}  // namespace kinglet
