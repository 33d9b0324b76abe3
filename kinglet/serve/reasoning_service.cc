#include "kinglet/serve/reasoning_service.h"

#include <chrono>
#include <utility>

#include "kinglet/serve/api_error.h"
#include "kinglet/serve/reasoning_job.h"

namespace kinglet {
namespace {

constexpr std::chrono::milliseconds kForestPollWait{20};  // new forests and clients that left are seen so often

}  // namespace

ReasoningService::ReasoningService(ChatModel& model, ReasoningLimits limits)
    : model_(model), limits_(limits), thread_([this] { run(); }) {}

ReasoningService::~ReasoningService() {
  cancel_all();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ReasoningService::start(ReasoningRequest request, std::shared_ptr<HttpExchange> exchange, ReplyFormat format,
                             HttpFields fields, Ended ended) {
  if (++open_ > limits_.forests) {
    --open_;
    throw ApiError(429, "Too many forests are at work; try again later.", "", "rate_limit_exceeded");
  }
  std::shared_ptr<ReasoningJob> job;
  try {
    // Counted until it is over: its callback may need its owner until then.
    const auto over = [this, ended = std::move(ended)](int status, const fot::CallCost& cost) {
      ended(status, cost);
      --open_;
    };
    job = std::make_shared<ReasoningJob>(std::move(request), std::move(exchange), std::move(format), std::move(fields),
                                         over);
  } catch (const Error& error) {
    --open_;
    throw ApiError(400, error.what(), "messages", "invalid_question");
  }
  job->watch_client();
  {
    const std::lock_guard lock(mutex_);
    new_jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void ReasoningService::cancel_all() {
  cancelling_ = true;
  changed_.notify_all();
}

void ReasoningService::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !new_jobs_.empty() || !jobs_.empty() || ending_; });
      for (auto& job : std::exchange(new_jobs_, {})) jobs_.push_back(std::move(job));
      if (ending_ && jobs_.empty()) return;
    }
    if (cancelling_) {
      for (const auto& job : jobs_) job->break_off(503, "The server is shutting down.");
    }
    for (const auto& job : jobs_) job->step(model_);
    std::erase_if(jobs_, [](const auto& job) { return job->over(); });
    if (model_.open_calls() > 0) model_.poll(kForestPollWait);
  }
}

}  // namespace kinglet
