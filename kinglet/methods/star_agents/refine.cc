#include "kinglet/methods/star_agents/refine.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <deque>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"

namespace kinglet::star_agents {
namespace {

constexpr std::chrono::seconds kDrain(60);
constexpr int kCancelRounds = 100'000;      // each ends at least one cancelled call
constexpr std::size_t kScoreTogether = 64;  // items; fewer only when nothing else goes on

class Run {
 public:
  Run(const std::vector<Seed>& seeds, const Settings& settings, const RunModels& models, const RunObserver& observer)
      : seeds_(seeds),
        settings_(settings),
        models_(models),
        observer_(observer),
        environment_{settings, models.chat, [this](const std::string& why) { stop_reason_ = why; }, false},
        order_(seed_order(seeds, settings.run_seed)),
        probabilities_(settings.pairs.size(), settings.floor) {
    if (uses_memory()) bank_.emplace(models.embedder->dimension(), settings.memory);
    for (const auto& [name, model] : models.chat) {
      if (std::find(distinct_models_.begin(), distinct_models_.end(), model) == distinct_models_.end()) {
        distinct_models_.push_back(model);
      }
    }
  }

  void run() {
    const std::size_t waves = (seeds_.size() + settings_.wave - 1) / settings_.wave;
    std::size_t planned = 0;
    while (committed_waves_ < waves) {
      // Planned at once behind each commit, so that a wave always sees the same state.
      while (planned < waves && planned <= committed_waves_ + settings_.lag) plan(planned++);
      advance();
      if (std::all_of(open_.front().begin(), open_.front().end(), is_done)) commit();
    }
  }

  // Answers under way are paid for: they are received, so that the next start finds them.
  void drain() {
    environment_.stopping = true;
    if (!models_.stop_sending) return;
    const auto end = std::chrono::steady_clock::now() + kDrain;
    models_.stop_sending();
    const auto busy = [](const ChatModel* model) { return model->open_calls() > 0; };
    while (std::any_of(distinct_models_.begin(), distinct_models_.end(), busy) &&
           std::chrono::steady_clock::now() < end) {
      for (ChatModel* model : distinct_models_) model->poll(std::chrono::milliseconds(20));
    }
  }

  void cancel_all() {
    // The models must have let go of the tasks before these are destroyed.
    for (const Wave& wave : open_) {
      for (const auto& task : wave) task->cancel();
    }
    for (ChatModel* model : distinct_models_) {
      for (int round = 0; round < kCancelRounds && model->open_calls() > 0; ++round)
        model->poll(std::chrono::milliseconds(0));
    }
  }

 private:
  using Wave = std::vector<std::unique_ptr<SeedTask>>;

  static bool is_done(const std::unique_ptr<SeedTask>& task) { return task->stage() == SeedTask::Stage::kDone; }

  bool uses_memory() const { return settings_.use_memory && settings_.draw.retrieved > 0; }

  std::span<const std::size_t> seeds_of(std::size_t wave) const {
    const std::size_t begin = wave * settings_.wave;
    return std::span(order_).subspan(begin, std::min(settings_.wave, order_.size() - begin));
  }

  std::vector<float> embeddings_of(std::span<const std::size_t> seeds) const {
    std::vector<std::string> texts;
    for (const std::size_t seed : seeds) texts.push_back(seeds_[seed].instruction());
    return models_.embedder->embed(texts);
  }

  void plan(std::size_t wave) {
    const auto seeds = seeds_of(wave);
    embeddings_.push_back(uses_memory() ? embeddings_of(seeds) : std::vector<float>());
    open_.emplace_back();
    for (std::size_t k = 0; k < seeds.size(); ++k) {
      const Seed& seed = seeds_[seeds[k]];
      std::vector<std::size_t> remembered;
      if (bank_) remembered = bank_->recall(embedding(embeddings_.back(), k));
      Rng rng = stream_of(settings_.run_seed, seed.id, "pairs");
      std::vector<SeedTask::Draw> draws;
      for (const std::size_t pair : draw_pairs(probabilities_.values(), remembered, {}, settings_.draw, rng)) {
        draws.push_back({pair, probabilities_.values()[pair]});
      }
      open_.back().push_back(std::make_unique<SeedTask>(environment_, seed, seeds[k], wave, draws));
    }
    for (const auto& task : open_.back()) task->start();
  }

  std::span<const float> embedding(const std::vector<float>& all, std::size_t k) const {
    return std::span(all).subspan(k * models_.embedder->dimension(), models_.embedder->dimension());
  }

  // Lets models answer and scorers score, until something has happened.
  void advance() {
    check_interrupt();
    std::size_t open_calls = 0, busy = 0;
    for (const ChatModel* model : distinct_models_) {
      open_calls += model->open_calls();
      busy += model->open_calls() > 0;
    }
    // Only one model can be waited for.
    const std::chrono::milliseconds wait(busy == 1 ? 50 : 1);
    for (ChatModel* model : distinct_models_) {
      if (model->open_calls() > 0) model->poll(wait);
    }
    if (!stop_reason_.empty()) {
      throw failed("", fmt::format("{}; {} seeds are done", stop_reason_, committed_seeds_),
                   "remove the cause and start the same command again: nothing that was answered is asked twice");
    }
    score_waiting(busy == 0);
    report_progress(open_calls);
  }

  void score_waiting(bool even_few) {
    std::vector<SeedTask*> waiting;
    std::vector<ScoreItem> items;
    std::vector<std::size_t> counts;
    for (const Wave& wave : open_) {
      for (const auto& task : wave) {
        if (task->stage() != SeedTask::Stage::kToScore || items.size() >= 4 * kScoreTogether) continue;
        const std::vector<ScoreItem> own = task->items();
        waiting.push_back(task.get());
        counts.push_back(own.size());
        items.insert(items.end(), own.begin(), own.end());
      }
    }
    if (items.empty() || (items.size() < kScoreTogether && !even_few)) return;
    const std::vector<Likelihoods> small = score_cached(*models_.small, *models_.scores, items);
    std::vector<Likelihoods> large;
    if (settings_.fit == Fit::kDual) large = score_cached(*models_.large, *models_.scores, items);
    std::size_t at = 0;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      const auto part = [&](const std::vector<Likelihoods>& all) {
        if (all.empty()) return std::vector<Likelihoods>();
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
        return std::vector<Likelihoods>(begin, begin + static_cast<std::ptrdiff_t>(counts[i]));
      };
      waiting[i]->set_scores(part(small), part(large));
      at += counts[i];
    }
  }

  void report_progress(std::size_t open_calls) {
    if (!observer_.on_progress) return;
    std::size_t done = committed_seeds_;
    for (const Wave& wave : open_) done += static_cast<std::size_t>(std::count_if(wave.begin(), wave.end(), is_done));
    observer_.on_progress(done, open_calls);
  }

  void commit() {
    const Wave wave = std::move(open_.front());
    open_.pop_front();
    const std::vector<float> embeddings = std::move(embeddings_.front());
    embeddings_.pop_front();
    for (std::size_t k = 0; k < wave.size(); ++k) {
      const SeedOutcome outcome = wave[k]->take_outcome();
      learn(outcome, bank_ ? embedding(embeddings, k) : std::span<const float>());
      ++committed_seeds_;
      if (observer_.on_seed) observer_.on_seed(outcome);
    }
    ++committed_waves_;
    if (observer_.on_wave) {
      observer_.on_wave({committed_waves_ - 1, committed_seeds_, probabilities_.values(), bank_ ? bank_->size() : 0});
    }
  }

  void learn(const SeedOutcome& outcome, std::span<const float> embedding) {
    const auto& pair = outcome.winner().pair;
    std::vector<Reward> rewards;
    for (const CandidateOutcome& one : outcome.candidates) {
      const bool counts = settings_.reward_all || &one == &outcome.winner();
      if (one.pair && counts && one.composite > 0) rewards.push_back({*one.pair, std::min(one.composite, 1.0)});
    }
    probabilities_.reward(rewards, settings_.beta);
    if (bank_ && pair && bank_->worth(outcome.choice)) bank_->remember(embedding, *pair);
  }

  const std::vector<Seed>& seeds_;
  const Settings& settings_;
  const RunModels& models_;
  const RunObserver& observer_;
  TaskEnvironment environment_;
  std::string stop_reason_;
  std::vector<std::size_t> order_;
  std::vector<ChatModel*> distinct_models_;
  PairProbabilities probabilities_;
  std::optional<MemoryBank> bank_;
  std::deque<Wave> open_;                      // in order; the first is committed next
  std::deque<std::vector<float>> embeddings_;  // of their seeds
  std::size_t committed_waves_ = 0;
  std::size_t committed_seeds_ = 0;
};

void check_models(const Settings& settings, const RunModels& models) {
  std::set<std::string> needed;
  for (const AgentPair& pair : settings.pairs) {
    needed.insert(settings.response_agents[pair.response].model);
    const InstructionAgent& agent = settings.instruction_agents[pair.instruction];
    if (agent.rewrites()) needed.insert(agent.model);
  }
  if (settings.base_agent) needed.insert(settings.response_agents[*settings.base_agent].model);
  if (settings.judge) needed.insert(settings.judge->model);
  for (const std::string& name : needed) {
    if (!models.chat.contains(name)) throw bad_input("", fmt::format("no model '{}'", name), "add it to the models");
  }
  const bool scores = settings.fit != Fit::kNone;
  if (scores && (models.small == nullptr || models.scores == nullptr)) {
    throw bad_input("", "no small scorer", "name the target model, or set fit.by = \"none\"");
  }
  if (settings.fit == Fit::kDual && models.large == nullptr) {
    throw bad_input("", "no large scorer", "name one, or set fit.by = \"ifd\"");
  }
  if (settings.use_memory && settings.draw.retrieved > 0 && models.embedder == nullptr) {
    throw bad_input("", "no embedder for the memory bank");
  }
}

}  // namespace

std::vector<std::size_t> seed_order(const std::vector<Seed>& seeds, std::uint64_t run_seed) {
  std::vector<std::pair<std::uint64_t, std::size_t>> keys;
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    keys.emplace_back(xxh3(as_bytes(fmt::format("{} order {}", run_seed, seeds[i].id))), i);
  }
  std::sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : seeds[a.second].id < seeds[b.second].id;
  });
  std::vector<std::size_t> order;
  for (const auto& key : keys) order.push_back(key.second);
  return order;
}

void refine(const std::vector<Seed>& seeds, const Settings& settings, const RunModels& models,
            const RunObserver& observer) {
  check_settings(settings);
  check_models(settings, models);
  Run run(seeds, settings, models, observer);
  try {
    run.run();
  } catch (...) {
    run.drain();
    run.cancel_all();
    throw;
  }
}

}  // namespace kinglet::star_agents
