// A throw-away PostgreSQL server in a temporary folder, on a Unix socket only. Its programs are those of Debian's
// package postgresql; where they are missing, start() gives nothing and says why, and the test is skipped.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/llm/postgres.h"

namespace kinglet::testing_support {

class PostgresCluster {
 public:
  // The one of this process: a server takes seconds to start.
  static const PostgresCluster* shared(std::string& reason) {
    static std::string why;
    static const std::unique_ptr<PostgresCluster> cluster = start(why);
    reason = why;
    return cluster.get();
  }

  static std::unique_ptr<PostgresCluster> start(std::string& reason) {
    const std::filesystem::path programs = newest_programs();
    if (programs.empty()) {
      reason = "no PostgreSQL server here (Debian: postgresql): /usr/lib/postgresql/*/bin/initdb is missing";
      return nullptr;
    }
    std::unique_ptr<PostgresCluster> cluster(new PostgresCluster);
    reason = cluster->begin(programs);
    if (!reason.empty()) return nullptr;
    return cluster;
  }

  ~PostgresCluster() {
    if (server_ <= 0) return;
    kill(server_, SIGQUIT);
    waitpid(server_, nullptr, 0);
  }

  // User "kinglet" needs no password; "secured" has one: "right".
  std::string url(const std::string& database = "postgres", const std::string& user = "kinglet") const {
    return "postgresql://" + user + "@/" + database + "?host=" + folder_.path().string();
  }

 private:
  PostgresCluster() = default;

  static std::filesystem::path newest_programs() {
    std::filesystem::path newest;
    std::error_code missing;
    for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", missing)) {
      const std::filesystem::path folder = version.path() / "bin";
      if (std::filesystem::exists(folder / "initdb")) newest = std::max(newest, folder);
    }
    return newest;
  }

  // PostgreSQL does not run as root; the server ends with this process.
  std::vector<std::string> as_user(std::vector<std::string> command) const {
    std::vector<std::string> all{"/usr/bin/setpriv", "--pdeathsig", "QUIT"};
    if (geteuid() == 0) all.insert(all.end(), {"--reuid", "postgres", "--regid", "postgres", "--clear-groups"});
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }

  std::string begin(const std::filesystem::path& programs) {
    if (access("/usr/bin/setpriv", X_OK) != 0) return "/usr/bin/setpriv is missing (Debian: util-linux)";
    if (geteuid() == 0) {
      const passwd* user = getpwnam("postgres");
      if (user == nullptr) return "run as root, and there is no user postgres";
      if (chown(folder_.path().c_str(), user->pw_uid, user->pw_gid) != 0) return "cannot change the owner of a folder";
    }
    const std::string data = (folder_ / "data").string();
    const ProcessResult made = run_process(
        as_user({(programs / "initdb").string(), "-D", data, "-U", "kinglet", "--auth=trust", "-N", "-E", "UTF8"}));
    if (made.exit_code != 0) return "initdb failed: " + made.err;
    std::ofstream(std::filesystem::path(data) / "pg_hba.conf")
        << "local all secured scram-sha-256\nlocal all all trust\n";
    serve(as_user({(programs / "postgres").string(), "-D", data, "-k", folder_.path().string(), "-c",
                   "listen_addresses=", "-c", "fsync=off"}));
    std::string problem;
    for (int i = 0; i < 300; ++i) {
      try {
        PostgresConnection(url()).run("CREATE ROLE secured LOGIN PASSWORD 'right'");
        return {};
      } catch (const Error& error) {
        problem = error.what();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return problem + "\n" + slurp(folder_ / "log");
  }

  void serve(const std::vector<std::string>& command) {
    server_ = fork();
    if (server_ != 0) return;
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(open((folder_ / "log").c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    dup2(STDOUT_FILENO, STDERR_FILENO);
    std::vector<char*> argv;
    for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }

  TemporaryFolder folder_;
  pid_t server_ = 0;
};

}  // namespace kinglet::testing_support
