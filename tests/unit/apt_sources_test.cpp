// SPDX-License-Identifier: MIT
// Lists of sources: what is read, and that edits leave every byte alone that they are not about.
#include "common/apt/source_set.hpp"
#include "common/text/apt_sources.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

using Words = std::vector<std::string>;

AptSources lines(const std::string& bytes) { return {AptFormat::one_line, bytes}; }
AptSources stanzas(const std::string& bytes) { return {AptFormat::deb822, bytes}; }

TEST(AptOneLine, ReadsWhatAptReads) {
  const auto list = lines(
      "# Debian\n"
      "deb http://ftp.debian.org/debian bookworm main contrib # the archive\n"
      "\n"
      "  deb-src\t[arch=amd64 signed-by=/usr/share/keyrings/a#b.gpg]   http://mirror.example.org/x   s/y  main\r\n"
      "deb [ arch=amd64 ] http://mirror.example.org/flat ./\n"
      "deb cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main");
  ASSERT_FALSE(list.problem());
  ASSERT_EQ(list.all().size(), 4u);
  const auto& first = list.all()[0];
  EXPECT_EQ(first.line, 2u);
  EXPECT_EQ(first.types, Words{"deb"});
  EXPECT_EQ(first.uris, Words{"http://ftp.debian.org/debian"});
  EXPECT_EQ(first.suites, Words{"bookworm"});
  EXPECT_EQ(first.components, (Words{"main", "contrib"})) << "a comment at the end is no component";
  EXPECT_EQ(first.signed_by, "");
  const auto& second = list.all()[1];
  EXPECT_EQ(second.types, Words{"deb-src"});
  EXPECT_EQ(second.signed_by, "/usr/share/keyrings/a#b.gpg");
  EXPECT_EQ(second.uris, Words{"http://mirror.example.org/x"});
  EXPECT_EQ(second.components, Words{"main"}) << "a carriage return is no component";
  EXPECT_EQ(list.all()[2].suites, Words{"./"});
  EXPECT_EQ(list.all()[3].uris, Words{"cdrom:[Debian GNU/Linux 12 _Bookworm_]/"});
}

TEST(AptOneLine, ACommentedSourceIsOneThatIsOff) {
  const auto list = lines(
      "# deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n"
      "##deb http://a.example.org/x s main\n"
      "# deb lines belong into sources.list.d\n"
      "# debug http://a.example.org/x s main\n"
      "#\n");
  EXPECT_FALSE(list.problem());
  ASSERT_EQ(list.all().size(), 2u) << "prose is not a source";
  EXPECT_FALSE(list.all()[0].enabled);
  EXPECT_EQ(list.all()[0].components, Words{"pve-no-subscription"});
  EXPECT_EQ(list.all()[1].line, 2u);
}

TEST(AptOneLine, WhatAptRefusesIsNamed) {
  const auto problem = [](const std::string& bytes) {
    const auto list = lines(bytes);
    return list.problem() ? std::to_string(list.problem()->line) + " " + list.problem()->what : "";
  };
  EXPECT_EQ(problem("\ndeb http://a.example.org/x\n"), "2 has no suite");
  EXPECT_EQ(problem("deb http://a.example.org/x s\n"), "1 has no component");
  EXPECT_EQ(problem("deb\n"), "1 has no URI");
  EXPECT_EQ(problem("rpm http://a.example.org/x s main\n"), "1 begins with 'rpm' where deb or deb-src belongs");
  EXPECT_EQ(problem("DEB http://a.example.org/x s main\n"), "1 begins with 'DEB' where deb or deb-src belongs");
  EXPECT_EQ(problem("deb nourl s main\n"), "1 has 'nourl' where a URI belongs");
  EXPECT_EQ(problem("deb http://a.example.org/x ./ main\n"), "1 has components beside the path './'");
  EXPECT_EQ(problem("deb http://a.example.org/x s main\n"), "");
  EXPECT_EQ(problem(""), "");
}

// What APT 2.6 says to each: "Malformed entry" or nothing.
TEST(AptOneLine, BracketsThatDoNotPair) {
  const auto problem = [](const std::string& bytes) {
    const auto list = lines(bytes);
    return list.problem() ? (list.problem()->refused ? "APT: " : "we: ") + list.problem()->what : "";
  };
  EXPECT_EQ(problem("deb http://a.example.org/[ s main"), "APT: has a '[' without its ']'");
  EXPECT_EQ(problem("deb http://a.example.org/x s [main c"), "APT: has a '[' without its ']'");
  EXPECT_EQ(problem("deb [arch=amd64 http://a.example.org/x s main"), "APT: has a '[' without its ']'");
  EXPECT_EQ(problem("deb [arch=amd64]http://a.example.org/x s main"), "APT: has no blank after its options");
  EXPECT_EQ(problem("deb [ arch=amd64 ]http://a.example.org/x s main"), "");
  // It ignores that component and all after it, or takes the outer ones.
  EXPECT_EQ(problem("deb http://a.example.org/x s main c[ d"), "we: has a '[' without its ']'");
  EXPECT_EQ(problem("deb http://a.example.org/x s [[main] c"), "we: has a '[' between '[' and ']'");
  EXPECT_EQ(problem("deb [[arch=amd64] http://a.example.org/x s main"), "we: has a '[' between '[' and ']'");
  EXPECT_EQ(problem("# deb http://a.example.org/[ s main"), "");
  const auto list = lines("deb http://a.example.org/] s main] c[x #y]z #[");  // the comment begins at the first #
  EXPECT_TRUE(list.problem());
  const auto closed = lines("deb http://a.example.org/] s main] c #[");
  ASSERT_EQ(closed.all().size(), 1u);
  EXPECT_EQ(closed.all()[0].uris, Words{"http://a.example.org/]"});
  EXPECT_EQ(closed.all()[0].components, (Words{"main]", "c"}));
}

TEST(AptOneLine, EditsOfWordsWithBracketsTake) {
  // Once the first word was gone, the # was no comment any more.
  EXPECT_TRUE(lines("deb http://a.example.org/x s c] x[#y").problem());
  EXPECT_TRUE(lines("deb http://a.example.org/] s c [#").problem());
  auto list = lines("deb http://a.example.org/x s c] x[a b]z] # why ]");
  list.remove_component(0, "c]");
  EXPECT_EQ(list.bytes(), "deb http://a.example.org/x s x[a b]z] # why ]");
  EXPECT_EQ(list.all().at(0).components, Words{"x[a b]z]"});
  list.rename_component(0, "x[a b]z]", "main");
  EXPECT_EQ(list.bytes(), "deb http://a.example.org/x s main # why ]");
  EXPECT_EQ(list.all().at(0).components, Words{"main"});
}

TEST(AptOneLine, SwitchingOffAndOnAgainKeepsEveryByte) {
  for (const std::string file : {"deb http://a.example.org/x  s   main\n", "\t deb http://a.example.org/x s main # why\r\n# end\r\n",
                                 "# first\n\ndeb [arch=amd64] http://a.example.org/x s main"}) {
    auto list = lines(file);
    list.set_enabled(0, false);
    EXPECT_FALSE(list.all()[0].enabled);
    EXPECT_EQ(list.bytes().size(), file.size() + 2);
    list.set_enabled(0, true);
    EXPECT_EQ(list.bytes(), file);
    list.set_enabled(0, true);
    EXPECT_EQ(list.bytes(), file);
  }
  auto off = lines("x\n");
  EXPECT_TRUE(off.problem());
  auto list = lines("#deb http://a.example.org/x s main\n");
  list.set_enabled(0, true);
  EXPECT_EQ(list.bytes(), "deb http://a.example.org/x s main\n");
}

TEST(AptOneLine, EditsTouchTheirWordsOnly) {
  auto list = lines("# top\r\ndeb [arch=amd64]  http://a.example.org/x\ts  main   contrib non-free  # why\r\n# end");
  list.set_uri(0, "https://mirror.example.org/y");
  EXPECT_EQ(list.bytes(), "# top\r\ndeb [arch=amd64]  https://mirror.example.org/y\ts  main   contrib non-free  # why\r\n# end");
  list.remove_component(0, "contrib");
  EXPECT_EQ(list.bytes(), "# top\r\ndeb [arch=amd64]  https://mirror.example.org/y\ts  main   non-free  # why\r\n# end");
  list.rename_component(0, "non-free", "other");
  EXPECT_EQ(list.bytes(), "# top\r\ndeb [arch=amd64]  https://mirror.example.org/y\ts  main   other  # why\r\n# end");
  list.remove_component(0, "nothing");
  EXPECT_EQ(list.all()[0].components, (Words{"main", "other"}));
  auto last = lines("deb http://a.example.org/x s main contrib\n");
  last.remove_component(0, "contrib");
  EXPECT_EQ(last.bytes(), "deb http://a.example.org/x s main\n");
}

TEST(AptOneLine, Appends) {
  auto list = lines("deb http://a.example.org/x s main");
  list.append({.types = {"deb"}, .uris = {"http://b.example.org/y"}, .suites = {"t"}, .components = {"c", "d"}, .signed_by = "/k.gpg"});
  EXPECT_EQ(list.bytes(), "deb http://a.example.org/x s main\ndeb [signed-by=/k.gpg] http://b.example.org/y t c d\n");
  ASSERT_EQ(list.all().size(), 2u);
  EXPECT_EQ(list.all()[1].signed_by, "/k.gpg");
  list.remove(0);
  EXPECT_EQ(list.bytes(), "deb [signed-by=/k.gpg] http://b.example.org/y t c d\n");
}

TEST(AptOneLine, OptionsThatDecide) {
  const auto source = [](const std::string& options) {
    return AptSources(AptFormat::one_line, "deb [" + options + "] http://a.example.org/x s c\n").all().at(0);
  };
  EXPECT_TRUE(source("lang=de").amd64);
  EXPECT_TRUE(source("arch=amd64,arm64").amd64);
  EXPECT_TRUE(source("arch=arm64 arch+=amd64").amd64);
  EXPECT_TRUE(source("arch-=i386").amd64);
  EXPECT_FALSE(source("arch=arm64").amd64);
  EXPECT_FALSE(source("Arch-=i386,amd64").amd64);
  EXPECT_FALSE(source("lang=de").trusted);
  EXPECT_EQ(source("trusted=yes").trusted, true);
  EXPECT_EQ(source("trusted=perhaps").trusted, false);
  EXPECT_EQ(source("Signed-By=/k.gpg arch=amd64").signed_by, "/k.gpg");
}

TEST(AptDeb822, OptionsThatDecide) {
  const auto source = [](const std::string& fields) {
    return AptSources(AptFormat::deb822, "Types: deb\nURIs: http://a.example.org/x\nSuites: s\nComponents: c\n" + fields).all().at(0);
  };
  EXPECT_TRUE(source("").amd64);
  EXPECT_TRUE(source("Architectures:\n i386\n amd64\n").amd64);
  EXPECT_TRUE(source("Architectures: arm64\nArchitectures-Add: amd64\n").amd64);
  EXPECT_FALSE(source("Architectures: arm64 i386\n").amd64);
  EXPECT_FALSE(source("architectures-remove: amd64\n").amd64);
  EXPECT_FALSE(source("").trusted);
  EXPECT_EQ(source("Trusted: no\n").trusted, false);
  EXPECT_EQ(source("Trusted: no\nTrusted: Yes\n").trusted, true);
  EXPECT_EQ(source("Signed-By: /k.gpg\n").signed_by, "/k.gpg");
}

TEST(AptDeb822, ReadsWhatAptReads) {
  const auto file = stanzas(
      "# Debian\n"
      "Types: deb deb-src\n"
      "# comment\n"
      "URIs: http://a.example.org/x\n"
      " http://b.example.org/x\n"
      "Suites: s s-updates\n"
      "#Enabled: no\n"
      "Components: main\n"
      "# note\n"
      "\tcontrib\n"
      "Signed-By:\n"
      " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
      " .\n"
      " abc\n"
      "\n"
      "# lonely\n"
      "\n"
      "types: deb\n"
      "uris: http://c.example.org/x\n"
      "suites: t/\n"
      "enabled: Off\n");
  ASSERT_FALSE(file.problem());
  ASSERT_EQ(file.all().size(), 2u);
  const auto& first = file.all()[0];
  EXPECT_TRUE(first.enabled);
  EXPECT_EQ(first.line, 1u);
  EXPECT_EQ(first.types, (Words{"deb", "deb-src"}));
  EXPECT_EQ(first.uris, (Words{"http://a.example.org/x", "http://b.example.org/x"}));
  EXPECT_EQ(first.suites, (Words{"s", "s-updates"}));
  EXPECT_EQ(first.components, (Words{"main", "contrib"}));
  EXPECT_FALSE(first.signed_by.empty());
  EXPECT_FALSE(file.all()[1].enabled);
  EXPECT_EQ(file.all()[1].line, 18u);
}

// Each of these was tried with APT 2.2, 2.6 and 3.0 (apt-get update --print-uris).
TEST(AptDeb822, OddFilesAsAptTakesThem) {
  const auto blank = stanzas(
      "Types: deb\nURIs: http://a.example.org/d\nSuites: s1\nComponents: main\n  \nTypes: deb\nURIs: http://b.example.org/d\nSuites: "
      "s2\nComponents: main\n");
  ASSERT_EQ(blank.all().size(), 1u) << "a line of blanks ends no stanza";
  EXPECT_EQ(blank.all()[0].uris, Words{"http://b.example.org/d"}) << "of a field that is there twice the last counts";
  const auto twice = stanzas("Types: deb\nURIs: http://a.example.org/d\nSuites: s1\nComponents: main\nEnabled: yes\nEnabled: no\n");
  EXPECT_FALSE(twice.all()[0].enabled);
  const auto crlf = stanzas(
      "Types: deb\r\nURIs: http://a.example.org/d\r\nSuites: s1\r\nComponents: main\r\nEnabled: no\r\n\r\nTypes: deb\r\nURIs: "
      "http://b.example.org/d\r\nSuites: s2\r\nComponents: main\r\n");
  ASSERT_EQ(crlf.all().size(), 2u);
  EXPECT_FALSE(crlf.all()[0].enabled);
  EXPECT_TRUE(crlf.all()[1].enabled);
  EXPECT_TRUE(stanzas("Types: deb\nURIs: http://a.example.org/d\nSuites: s1\nComponents: main\nEnabled:\n").all()[0].enabled);
  EXPECT_FALSE(stanzas("Types: deb\nEnabled: no\n").problem());
  EXPECT_FALSE(stanzas("# only a comment\n").problem());
  ASSERT_TRUE(stanzas("garbage\nTypes: deb\nURIs: http://a.example.org/d\nSuites: s1\nComponents: main\n").problem());
  EXPECT_EQ(stanzas("\nTypes: deb\ngarbage\n").problem()->line, 3u);
  EXPECT_EQ(stanzas("Enabled: no\nURIs: http://a.example.org/d\nSuites: s1\nComponents: main\n").problem()->what,
            "has no type (deb or deb-src)");
}

TEST(AptDeb822, SwitchingOff) {
  auto file = stanzas(
      "Types: deb\nURIs: http://a.example.org/d\nSuites: s\nComponents: main\n# last\n\n# next\nTypes: deb\nURIs: "
      "http://b.example.org/d\nSuites: s\nComponents: main");
  file.set_enabled(0, false);
  file.set_enabled(1, false);
  EXPECT_EQ(file.bytes(),
            "Types: deb\nURIs: http://a.example.org/d\nSuites: s\nComponents: main\nEnabled: no\n# last\n\n# next\nTypes: deb\nURIs: "
            "http://b.example.org/d\nSuites: s\nComponents: main\nEnabled: no\n");
  file.set_enabled(0, true);
  EXPECT_TRUE(file.all()[0].enabled);
  EXPECT_TRUE(file.bytes().starts_with("Types: deb\nURIs: http://a.example.org/d\nSuites: s\nComponents: main\nEnabled: yes\n# last\n"));
  auto crlf = stanzas("Types: deb\r\nURIs: http://a.example.org/d\r\nSuites: s\r\nEnabled:   TRUE\r\nComponents: main\r\n");
  crlf.set_enabled(0, false);
  EXPECT_EQ(crlf.bytes(), "Types: deb\r\nURIs: http://a.example.org/d\r\nSuites: s\r\nEnabled:   no\r\nComponents: main\r\n");
}

TEST(AptDeb822, EditsTouchTheirWordsOnly) {
  auto file = stanzas(
      "Types: deb\nURIs: http://a.example.org/d\n# old\n  http://b.example.org/d\nSuites: s\nComponents:  main\n contrib\n# note\n "
      "non-free  \nX: y\n");
  file.set_uri(0, "http://mirror.example.org/d");
  EXPECT_EQ(file.bytes(),
            "Types: deb\nURIs: http://mirror.example.org/d\n# old\nSuites: s\nComponents:  main\n contrib\n# note\n non-free  \nX: y\n");
  file.remove_component(0, "contrib");
  EXPECT_EQ(file.bytes(),
            "Types: deb\nURIs: http://mirror.example.org/d\n# old\nSuites: s\nComponents:  main\n# note\n non-free  \nX: y\n");
  file.remove_component(0, "main");
  EXPECT_EQ(file.all()[0].components, Words{"non-free"});
  EXPECT_FALSE(file.problem());
}

TEST(AptDeb822, Appends) {
  auto file = stanzas("# head\n");
  const AptSource source{
      .types = {"deb"}, .uris = {"http://a.example.org/x"}, .suites = {"s", "t"}, .components = {"c"}, .signed_by = "/k.gpg"};
  file.append(source);
  EXPECT_EQ(file.bytes(), "# head\n\nTypes: deb\nURIs: http://a.example.org/x\nSuites: s t\nComponents: c\nSigned-By: /k.gpg\n");
  const std::string one = file.bytes();
  file.append(source);
  ASSERT_EQ(file.all().size(), 2u);
  file.remove(1);
  EXPECT_EQ(file.bytes(), one + "\n");
  auto unfinished = stanzas("Types: deb\nEnabled: no");
  unfinished.append(source);
  ASSERT_EQ(unfinished.all().size(), 1u);
  EXPECT_EQ(unfinished.all()[0].line, 4u);
}

// Files made of odd pieces by a generator with a fixed seed; whatever is edited, only that source changes and no comment is lost.
class AnyFile : public testing::TestWithParam<AptFormat> {};

TEST_P(AnyFile, EditsAreAboutOneSource) {
  const bool one_line = GetParam() == AptFormat::one_line;
  const Words pieces =
      one_line
          ? Words{"deb http://a.example.org/x s main contrib\n",
                  "  deb\t[ arch=amd64 ]  http://b.example.org/y  t-updates  main # c1\n",
                  "\n",
                  "# c2 prose\n",
                  "#deb http://c.example.org/z s main\r\n",
                  "deb-src http://d.example.org/x s main non-free\r\n",
                  "## deb http://e.example.org/x ./\n",
                  "deb [signed-by=/k#1.gpg] http://f.example.org/x s one two three\n",
                  " \t\n"}
          : Words{"Types: deb\nURIs: http://a.example.org/x\nSuites: s\nComponents: main contrib\n",
                  "\n",
                  "# c1\n",
                  "\r\n",
                  "Types: deb\r\nURIs: http://b.example.org/x http://c.example.org/x\r\nSuites: s t\r\nComponents: main\r\nEnabled: no\r\n",
                  "types: deb deb-src\n# c2\nuris:\n http://d.example.org/x\n# c3\n  http://e.example.org/x\nsuites: s\ncomponents:\n a\n "
                  "b\n",
                  "Signed-By:\n -----BEGIN\n .\n x\n",
                  "X-Other: deb http://x\n",
                  "Enabled: yes\n"};
  unsigned seed = 7;
  const auto random = [&](std::size_t below) { return (seed = seed * 1664525u + 1013904223u) / 65536u % static_cast<unsigned>(below); };
  const auto comments = [](const std::string& bytes) {
    Words out;
    for (std::size_t at = bytes.find("# c"); at != bytes.npos; at = bytes.find("# c", at + 1)) out.push_back(bytes.substr(at, 4));
    return out;
  };
  const auto shape = [](const AptSource& s) { return std::tie(s.enabled, s.types, s.uris, s.suites, s.components, s.signed_by); };
  int edits = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (unsigned n = random(7); n-- > 0;) bytes += pieces[random(pieces.size())];
    if (random(4) == 0 && !bytes.empty()) bytes.pop_back();
    AptSources file(GetParam(), bytes);
    ASSERT_EQ(file.bytes(), bytes);
    if (file.all().empty()) continue;
    const auto before = file.all();
    const std::size_t which = random(before.size());
    AptSource wish = before[which];
    switch (random(4)) {
      case 0:
        wish.enabled = !wish.enabled;
        file.set_enabled(which, wish.enabled);
        break;
      case 1:
        wish.uris = {"https://mirror.example.org/m"};
        file.set_uri(which, wish.uris[0]);
        break;
      case 2:
        if (wish.components.size() < 2) continue;
        wish.components.erase(wish.components.begin());
        file.remove_component(which, before[which].components[0]);
        break;
      case 3:
        if (wish.components.empty()) continue;
        wish.components.back() = "renamed";
        file.rename_component(which, before[which].components.back(), "renamed");
        break;
    }
    ++edits;
    SCOPED_TRACE(bytes + "\n---\n" + file.bytes());
    ASSERT_EQ(file.all().size(), before.size());
    for (std::size_t i = 0; i < before.size(); ++i) ASSERT_EQ(shape(file.all()[i]), shape(i == which ? wish : before[i])) << i;
    ASSERT_EQ(comments(file.bytes()), comments(bytes));
  }
  EXPECT_GT(edits, 1000);
}
INSTANTIATE_TEST_SUITE_P(Formats, AnyFile, testing::Values(AptFormat::one_line, AptFormat::deb822));

TEST(WithoutOurEdits, TheirsStays) {
  const auto one_line = AptFormat::one_line;
  const std::string before =
      "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\ndeb http://ftp.debian.org/debian bookworm main\n";
  const std::string now =
      "# deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n# theirs\ndeb http://mirror.example.org/debian bookworm "
      "main\n"
      "deb http://third.example.org/x s main\n";
  EXPECT_EQ(
      apt::without_our_edits(one_line, before, now),
      "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n# theirs\ndeb http://ftp.debian.org/debian bookworm main\n"
      "deb http://third.example.org/x s main\n");
  const std::string made =
      "# Made by the Ansible module pve.gpu.repo.\ndeb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n";
  EXPECT_EQ(apt::without_our_edits(one_line, std::nullopt, made), std::nullopt);
  EXPECT_EQ(apt::without_our_edits(one_line, std::nullopt, made + "deb http://third.example.org/x s main\n"),
            "# Made by the Ansible module pve.gpu.repo.\ndeb http://third.example.org/x s main\n");
}

}  // namespace
}  // namespace pvegpu::text
