#include "eval/report/compare.h"

#include <algorithm>
#include <map>

#include "base/units.h"
#include "eval/report/html_parts.h"

namespace mobilevlm::eval {
namespace {

using Table = std::vector<std::vector<std::string>>;

// The scores of the keys that all runs have, in the first run's order. [runs][keys]
std::vector<std::vector<double>> CommonScores(const std::vector<ComparedRun>& runs) {
  std::vector<std::map<std::string, double>> by_key;
  for (const ComparedRun& run : runs) {
    std::map<std::string, double>& scores = by_key.emplace_back();
    for (const UnitScore& unit : run.stored.sheet.units) scores.emplace(unit.key, unit.score);
  }
  std::vector<std::vector<double>> common(runs.size());
  for (const UnitScore& unit : runs[0].stored.sheet.units) {
    const bool in_all = std::all_of(by_key.begin(), by_key.end(),
                                    [&](const auto& scores) { return scores.contains(unit.key); });
    for (size_t i = 0; in_all && i < runs.size(); ++i) common[i].push_back(by_key[i].at(unit.key));
  }
  return common;
}

const Figure* FindFigure(const std::vector<Figure>& figures, const std::string& name) {
  const auto found =
      std::find_if(figures.begin(), figures.end(), [&](const Figure& f) { return f.name == name; });
  return found == figures.end() ? nullptr : &*found;
}

std::string Cell(const Figure* figure) { return figure == nullptr ? "-" : FormatValue(*figure); }

Table FigureRows(const Comparison& comparison) {
  Table table(1, {"figure"});
  for (const ComparedRun& run : comparison.runs) table[0].push_back(run.name);
  const ScoreSheet& first = comparison.runs[0].stored.sheet;
  for (const Figure& figure : first.figures) {
    std::vector<std::string>& row = table.emplace_back();
    row.push_back(figure.name);
    for (const ComparedRun& run : comparison.runs)
      row.push_back(Cell(FindFigure(run.stored.sheet.figures, figure.name)));
  }
  for (const Breakdown& breakdown : first.breakdowns) {
    for (const Figure& figure : breakdown.figures) {
      std::vector<std::string>& row = table.emplace_back();
      row.push_back(breakdown.dimension + ": " + figure.name);
      for (const ComparedRun& run : comparison.runs) {
        const auto& all = run.stored.sheet.breakdowns;
        const auto same = std::find_if(
            all.begin(), all.end(), [&](const Breakdown& b) { return b.dimension == breakdown.dimension; });
        row.push_back(Cell(same == all.end() ? nullptr : FindFigure(same->figures, figure.name)));
      }
    }
  }
  std::vector<std::string> time{"time per question, median"}, memory{"peak memory"};
  for (const ComparedRun& run : comparison.runs) {
    time.push_back(run.stored.run.total.median > 0 ? FormatMilliseconds(run.stored.run.total.median) : "-");
    memory.push_back(run.stored.run.peak_memory > 0 ? FormatBytes(run.stored.run.peak_memory) : "-");
  }
  table.push_back(std::move(time));
  table.push_back(std::move(memory));
  return table;
}

Table DifferenceRows(const Comparison& comparison) {
  Table table = {{"run", "against", "difference", "95 % interval", "only the first right", "only this right",
                  "p", "test"}};
  for (size_t i = 0; i < comparison.differences.size(); ++i) {
    const PairedDifference& d = comparison.differences[i];
    table.push_back({comparison.runs[i + 1].name, comparison.runs[0].name,
                     fmt::format("{:+.2f} points", 100 * d.difference),
                     fmt::format("{:+.2f} to {:+.2f}", 100 * d.interval.low, 100 * d.interval.high),
                     std::to_string(d.only_a), std::to_string(d.only_b),
                     d.p_value < 1e-4 ? "below 0.0001" : fmt::format("{:.4f}", d.p_value),
                     d.exact ? "McNemar, exact" : "sign flips"});
  }
  return table;
}

std::string Render(const Table& table, bool markdown) {
  std::vector<size_t> widths(table[0].size(), 0);
  for (const auto& row : table) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (size_t r = 0; r < table.size(); ++r) {
    for (size_t c = 0; c < table[r].size(); ++c) {
      if (markdown) {
        text += (c == 0 ? "| " : " ") + table[r][c] + " |";
      } else {
        text += c == 0 ? fmt::format("{:<{}}", table[r][c], widths[c])
                       : fmt::format("  {:>{}}", table[r][c], widths[c]);
      }
    }
    text += '\n';
    if (markdown && r == 0) {
      text += '|';
      for (size_t c = 0; c < table[0].size(); ++c) text += c == 0 ? "---|" : "---:|";
      text += '\n';
    }
  }
  return text;
}

std::string Title(const Comparison& comparison) {
  const ScoreSheet& sheet = comparison.runs[0].stored.sheet;
  return fmt::format("{}: {} runs, {} things scored in all of them", sheet.task, comparison.runs.size(),
                     comparison.common);
}

}  // namespace

Result<Comparison> CompareRuns(std::vector<ComparedRun> runs) {
  if (runs.size() < 2) return Fail("compare: wanted two or more runs, found {}", runs.size());
  for (const ComparedRun& run : runs) {
    if (run.stored.sheet.task != runs[0].stored.sheet.task) {
      return Fail("compare: {} is of {}, {} of {}", runs[0].name, runs[0].stored.sheet.task, run.name,
                  run.stored.sheet.task);
    }
  }
  const std::vector<std::vector<double>> scores = CommonScores(runs);
  if (scores[0].empty()) return Fail("compare: no question is in all the runs");
  Comparison comparison{.runs = std::move(runs), .differences = {}, .common = scores[0].size()};
  for (size_t i = 1; i < scores.size(); ++i)
    comparison.differences.push_back(ComparePaired(scores[0], scores[i]));
  return comparison;
}

std::string ToText(const Comparison& comparison) {
  return Title(comparison) + "\n" + Render(FigureRows(comparison), false) + "\n" +
         Render(DifferenceRows(comparison), false);
}

std::string ToMarkdown(const Comparison& comparison) {
  return fmt::format("# {}\n\n{}\n## Paired differences\n\n{}", Title(comparison),
                     Render(FigureRows(comparison), true), Render(DifferenceRows(comparison), true));
}

std::string ToHtml(const Comparison& comparison) {
  const auto escaped = [](Table table) {
    for (auto& row : table) {
      for (std::string& cell : row) cell = EscapeHtml(cell);
    }
    return HtmlTable(table);
  };
  std::vector<Figure> headlines;
  for (const ComparedRun& run : comparison.runs) {
    if (run.stored.sheet.figures.empty()) continue;
    headlines.push_back(run.stored.sheet.figures[0]);
    headlines.back().name = run.name;
  }
  const std::string body =
      fmt::format("<h1>{}</h1><p class=\"sub\">{}</p>\n{}{}<h2>Paired differences</h2>\n{}",
                  EscapeHtml(Title(comparison)),
                  headlines.empty() ? "" : EscapeHtml(comparison.runs[0].stored.sheet.figures[0].name),
                  BarChart(headlines), escaped(FigureRows(comparison)), escaped(DifferenceRows(comparison)));
  return HtmlPage(Title(comparison), body);
}

}  // namespace mobilevlm::eval
