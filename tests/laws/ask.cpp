// SPDX-License-Identifier: MIT
// laws-ask TREE: what the host in memory answers to queries of a described machine, as JSON, for tests/rack/test_answers.py, which asks
// the stand-ins the same. On the way: every file and directory of TREE reads as on the disk.
#include "common/host/real_host.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fake_journal.hpp"
#include "tests/laws/fake_nvidia.hpp"
#include "tests/laws/fake_systemctl.hpp"
#include "tests/laws/fixtures.hpp"

#include <cstdio>

namespace pvegpu {
namespace {

/// Lines for what differs.
void compare(const FakeHost& fake, const RealHost& real, const std::string& path, std::vector<std::string>& out) {
  const auto info = real.stat(path, Links::keep);
  if (!info || !fake.stat(path, Links::keep)) {
    out.push_back(path + ": it is not on both hosts");
  } else if (info->type == FileType::symlink) {
    if (fake.read_link(path).value_or("") != real.read_link(path).value_or("")) out.push_back(path + ": the links differ");
  } else if (info->type == FileType::directory) {
    const auto names = real.list_dir(path).value_or({});
    if (names != fake.list_dir(path).value_or({"?"})) out.push_back(path + ": the directories differ");
    for (const std::string& name : names) compare(fake, real, path + "/" + name, out);
  } else if (fake.read_file(path).value_or("?") != real.read_file(path).value_or("")) {
    out.push_back(path + ": the files differ");
  }
}

json answers(const std::string& tree) {
  FakeHost fake = laws::world_of(tree), with_nvidia = fake;
  model_systemctl(fake);
  laws::add_nvidia(with_nvidia, json::object());
  json out = {{"differs", json::array()}, {"queries", json::array()}};
  std::vector<std::string> differs;
  for (const char* top : {"/sys", "/proc"}) compare(fake, RealHost(tree), top, differs);
  out["differs"] = differs;
  const auto add = [&](const std::vector<std::string>& argv, const CommandResult& answer) {
    out["queries"].push_back({{"argv", argv}, {"exit", answer.exit_code}, {"out", answer.out}});
  };
  const auto ask = [&](const Query& query) {
    add(query.argv(), fake.query(query).or_fail("ask"));
    if (text::contains(query.argv().back(), "nvidia-")) add(query.argv(), with_nvidia.query(query).or_fail("ask"));
  };
  std::vector<std::string> units = {"missing.service"};
  for (const char* directory : {"/run/rack-units", "/usr/lib/systemd/system", "/etc/systemd/system"})
    for (const std::string& name : fake.list_dir(directory).value_or({}))
      if (name.ends_with(".service")) units.push_back(name);
  for (const std::string& unit : units) {
    ask(Query::unit_state(unit));
    ask(Query::unit_log(unit));
  }
  ask(Query::pool_features("rpool"));
  ask(Query::kernel_log());
  for (const char* address : {"0000:41:00.0", "0000:81:00.0"}) ask(Query::nvidia_gpu(address));
  using Words = std::vector<std::string>;
  for (const Words& words : {Words{"--dmesg", "--boot"},
                             {"-k", "-n", "2"},
                             {"-k", "--grep=NVRM|vfio"},
                             {"-k", "--grep", "nothing"},
                             {"-k", "--grep=NVRM", "--lines=1"},
                             {"-q", "--unit", "missing"}}) {
    Words argv = {"journalctl"};
    argv.insert(argv.end(), words.begin(), words.end());
    add(argv, journal_answer(fake, argv));
  }
  return out;
}

}  // namespace
}  // namespace pvegpu

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: laws-ask TREE\n"), 2;
  try {
    std::puts(pvegpu::dump_json(pvegpu::answers(argv[1])).c_str());
  } catch (const std::exception& e) {
    return std::fprintf(stderr, "laws-ask: %s\n", e.what()), 1;
  }
}
