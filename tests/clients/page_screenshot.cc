// Makes the picture of the web page in docs/: build/tests/page_screenshot FILE.png [light|dark [URL]].
// Without the address of a page, a scripted model answers. The picture of a forest:
//   build/kinglet reason serve --simulate --port 8090
//   build/tests/page_screenshot FILE.png light
//   'http://127.0.0.1:8090/?prompt=4%209%2010%2013&task=game24&trees=8&seed=3'
#include <cstdio>
#include <string>

#include "tests/support/browser.h"
#include "tests/support/test_server.h"

#include "kinglet/base/files.h"

namespace {

constexpr const char* kAnswer =
    "A kinglet is one of the smallest songbirds: a goldcrest weighs about five grams, as much as a sheet of paper. It "
    "lives in conifers, feeds on tiny insects, and survives winter nights by huddling close to its companions.";

std::string from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = (bits << 6) | static_cast<unsigned>(digits.find(c));
    if ((count += 6) >= 8) bytes += static_cast<char>((bits >> (count -= 8)) & 0xFF);
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace kinglet;
  using namespace kinglet::testing_support;
  const auto program = find_browser();
  if (!program || argc < 2) return 2;
  ScriptedEngine::Options options;
  options.next = saying(kAnswer);
  options.step = std::chrono::milliseconds(12);
  const TestServer server(options);
  Browser browser(*program, 1120, 640);
  browser.open_page(argc > 3 ? argv[3]
                             : "http://127.0.0.1:" + std::to_string(server.port()) +
                                   "/?prompt=What%20is%20a%20kinglet%3F&seed=1");
  if (argc > 2) browser.emulate({{{"name", "prefers-color-scheme"}, {"value", argv[2]}}});
  if (!browser.wait_until("document.body?.dataset.state === 'done'", 60)) return 1;
  if (browser.evaluate("document.querySelector('.token') !== null")) {
    const auto box = browser.evaluate(
        "(() => { const all = [...document.querySelectorAll('.token')]; const b = all[Math.floor(all.length * 0.62)]"
        ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()");
    browser.move_mouse(box[0], box[1]);
    if (!browser.wait_until("!document.getElementById('tip').hidden")) return 1;
  }
  const std::string png = from_base64(browser.screenshot());
  write_file_atomically(argv[1], as_bytes(png));
  std::printf("%zu bytes\n", png.size());
  return 0;
}
