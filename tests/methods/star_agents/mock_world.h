// A world of simulated models for tests: every answer, verdict and score is a function of the request alone.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/star_agents/refine.h"

namespace kinglet::star_agents {

inline double number_of(const std::string& text) { return Rng(xxh3(as_bytes(text))).uniform(); }

inline std::vector<Seed> mock_seeds(std::size_t count) {
  std::string lines;
  for (std::size_t i = 0; i < count; ++i) {
    lines += fmt::format("{{\"instruction\": \"Explain topic {} to a child of {}\", \"output\": \"old answer {}\"}}\n",
                         i, i % 7 + 4, i);
  }
  return parse_seeds(lines, "seeds", {}).seeds;
}

// Answers "<agent> says quality=<q> about <hash>", with q around the agent's skill.
inline ChatReply mock_answer(const std::string& agent, double skill, const ChatRequest& request) {
  const std::string key = agent + request.messages.back().content + request.slot;
  const double quality = skill + 0.4 * (number_of(key) - 0.5);
  return reply_saying(fmt::format("{} says quality={:.3f} about {:.6f}", agent, quality, number_of("t" + key)));
}

inline double quality_in(std::string_view text) {
  const std::size_t at = text.find("quality=");
  return at == std::string_view::npos ? 0.4 : std::stod(std::string(text.substr(at + 8, 6)));
}

inline ChatReply mock_verdict(const ChatRequest& request) {
  const std::string& user = request.messages.back().content;
  const std::size_t first = user.find("<answer A"), second = user.find("<answer B");
  const double a = quality_in(std::string_view(user).substr(first, second - first));
  const double b = quality_in(std::string_view(user).substr(second));
  if (std::abs(a - b) < 0.02) return reply_saying("Much alike. [[C]]");
  return reply_saying(a > b ? "Not [[B]], but [[A]]" : "Not [[A]], but\n[[B]]");
}

class MockScorer : public Scorer {
 public:
  explicit MockScorer(std::string name) : name_(std::move(name)) {}
  std::vector<Likelihoods> score(std::span<const ScoreItem> items) override {
    std::vector<Likelihoods> result;
    for (const ScoreItem& item : items) {
      ++scored;
      Likelihoods one{ScoreStatus::kScored, 1, 2, 10, 40, false};
      one.conditional = 1.2 + (name_ == "small" ? 0.5 : 0.0) * number_of(item.response);
      result.push_back(one);
    }
    return result;
  }
  std::string name() const override { return name_; }
  std::size_t scored = 0;

 private:
  std::string name_;
};

inline Settings mock_settings(std::size_t agents = 6) {
  Settings settings;
  settings.instruction_agents.push_back({});
  for (std::size_t i = 0; i < agents; ++i) {
    ResponseAgent agent;
    agent.name = agent.model = fmt::format("agent{}", i);
    settings.response_agents.push_back(agent);
    settings.pairs.push_back({0, i});
  }
  ResponseAgent base;
  base.name = base.model = "base";
  settings.response_agents.push_back(base);
  settings.base_agent = agents;
  settings.judge = JudgeSettings{"judge", true, {}};
  settings.draw = {4, 2};
  settings.beta = 5e-3;
  settings.wave = 8;
  settings.run_seed = 17;
  return settings;
}

// Scripted models for these settings; agent i is better the higher i is.
class MockWorld {
 public:
  explicit MockWorld(const Settings& settings, std::uint64_t shuffle_seed = 0, std::size_t replies_per_poll = 16) {
    for (std::size_t i = 0; i < settings.response_agents.size(); ++i) {
      const std::string name = settings.response_agents[i].model;
      const double skill = name == "base" ? 0.5 : 0.2 + 0.1 * static_cast<double>(i);
      add(
          name, [name, skill](const ChatRequest& request) { return mock_answer(name, skill, request); }, shuffle_seed,
          replies_per_poll);
    }
    add("judge", mock_verdict, shuffle_seed, replies_per_poll);
  }

  void add(const std::string& name, ScriptedModel::Script script, std::uint64_t shuffle_seed = 0,
           std::size_t replies_per_poll = 16) {
    ScriptedModel::Options options;
    options.name = name;
    options.replies_per_poll = replies_per_poll;
    options.shuffle_seed = shuffle_seed == 0 ? 0 : shuffle_seed + models.size();
    models[name] = std::make_unique<ScriptedModel>(std::move(script), options);
  }

  ChatModels chat() const {
    ChatModels result;
    for (const auto& [name, model] : models) result[name] = model.get();
    return result;
  }

  std::map<std::string, std::unique_ptr<ScriptedModel>> models;
  MockScorer small{"small"}, large{"large"};
};

}  // namespace kinglet::star_agents
