// pair_style spinase/pt2: a learned model that torch has compiled (AOTInductor), without Python.
// SPDX-License-Identifier: GPL-2.0-only (a work combined with LAMMPS)
//
//   pair_style spinase/pt2
//   pair_coeff * * magnet.pt2 Fe Co        species of LAMMPS' types
//
// The package is that of spinase.learning.exported, with two programs, "fields" and "forces" (the latter if it was trained on
// forces).  They take (vectors, neighbours, species, spins, places of the rows of every layer) and give energies of the
// sites of the last layer, -dE/ds of all sites, and dE/d(vectors).  Sites are sent in the order of their distance in pairs
// from owned ones; the first FILL sites are none of the magnet's and fill rows.
#ifndef SPINASE_PT2_H
#define SPINASE_PT2_H

#include "spinase_pair.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

#include <fstream>
#include <malloc.h>
#include <memory>
#include <sstream>
#include <unordered_map>

namespace LAMMPS_NS {

class PairSpinasePackage : public PairSpinaseCallback {
 public:
  explicit PairSpinasePackage(LAMMPS *lmp) : PairSpinaseCallback(lmp)
  {
    at::set_num_threads(comm->nthreads);
    mallopt(M_MMAP_MAX, 0);    // torch takes and gives back its memory in every evaluation: half of the time goes into
    mallopt(M_TRIM_THRESHOLD, -1);    // clearing it, if it comes from the system each time
  }

  void settings(int narg, char **) override
  {
    if (narg != 0) error->all(FLERR, "pair_style spinase/pt2 takes no options: they are in the package");
  }

  void coeff(int narg, char **arg) override
  {
    if (narg != 3 + atom->ntypes || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
      error->all(FLERR, "write pair_coeff * * FILE.pt2 and the species of the {} types", atom->ntypes);
    try {
      read(arg[2]);
      kinds.assign(1, 0);
      for (int k = 0; k < atom->ntypes; k++) kinds.push_back(place_of(arg[3 + k]));
    } catch (const std::exception &wrong) {
      error->all(FLERR, "spinase: {}", first_line(wrong.what()));
    }
    allocate();
  }

 protected:
  void require_answer() override
  {
    if (!fields) error->all(FLERR, "pair_style spinase/pt2: no package was given: pair_coeff * * FILE.pt2 SPECIES ...");
  }

  int ask(Question &asked) override
  {
    try {
      if (asked.reach < depth * (1.0 - 1e-9)) {
        std::ostringstream told;
        told << "the model needs ghosts as far as " << depth << " from owned sites, LAMMPS' reach " << asked.reach
             << ": write comm_modify cutoff " << depth << " plus the skin";
        throw std::runtime_error(told.str());
      }
      if (asked.owned) {
        if (asked.places != arranged) arrange(asked);
        evaluate(asked);
      }
      return 0;
    } catch (const std::exception &wrong) {
      std::strncpy(asked.message, first_line(wrong.what()).c_str(), MESSAGE - 1);
      return 1;
    }
  }

 private:
  using Loader = torch::inductor::AOTIModelPackageLoader;
  using Facts = std::unordered_map<std::string, std::string>;
  static constexpr int FILL = 2;    // programs want two sites, two rows and two neighbours at least

  std::unique_ptr<Loader> fields, forces;
  std::vector<std::string> species;
  std::vector<double> shortest;    // of every pair of species; closer ones were not trained
  std::vector<int64_t> kinds;      // place of the species of every type
  double depth = 0.0;
  int layers = 0;
  at::ScalarType real = at::kDouble;

  int64_t arranged = -1;                  // the geometry of what follows
  std::vector<int64_t> order;             // LAMMPS' number of every site that is sent, after the FILL first
  std::vector<int64_t> slots;             // of every pair: its place among the vectors, -1: it is in no row
  std::vector<at::Tensor> arguments;      // all but the spins, whose place is SPINS
  static constexpr int SPINS = 3;

  static std::string first_line(const std::string &text) { return text.substr(0, text.find('\n')); }

  static std::string fact(const Facts &facts, const std::string &name)
  {
    const auto found = facts.find(name);
    if (found == facts.end()) throw std::runtime_error("this is no package of spinase: it does not tell " + name);
    return found->second;
  }

  template <class T> static std::vector<T> list(const std::string &text)
  {
    std::istringstream words(text);
    std::vector<T> found;
    for (std::string word; words >> word;) {
      if constexpr (std::is_same_v<T, double>)
        found.push_back(std::stod(word));
      else
        found.push_back(word);
    }
    return found;
  }

  void read(const std::string &file)
  {
    if (!std::ifstream(file)) throw std::runtime_error("there is no package " + file);
    const Facts facts = Loader::load_metadata_from_package(file, "fields");
    const std::string made = fact(facts, "spinase_torch");
    if (made != TORCH_VERSION)
      throw std::runtime_error(file + " was compiled by torch " + made + ", this is torch " + TORCH_VERSION +
                               ": export it again with the torch that is installed");
    cutoff = std::stod(fact(facts, "spinase_cutoff"));
    depth = std::stod(fact(facts, "spinase_depth"));
    layers = std::stoi(fact(facts, "spinase_layers"));
    species = list<std::string>(fact(facts, "spinase_species"));
    shortest = list<double>(fact(facts, "spinase_shortest"));
    real = fact(facts, "spinase_dtype") == "float32" ? at::kFloat : at::kDouble;
    lattice = fact(facts, "spinase_forces") == "yes";
    ghosts = layers > 1;
    fields = std::make_unique<Loader>(file, "fields");
    if (lattice) forces = std::make_unique<Loader>(file, "forces");
  }

  int64_t place_of(const std::string &name) const
  {
    const auto found = std::find(species.begin(), species.end(), name);
    if (found != species.end()) return found - species.begin();
    std::string known;
    for (const auto &one : species) known += " " + one;
    throw std::runtime_error("the model does not know the species " + name + ", it knows" + known);
  }

  void require_trained(const Question &asked, int64_t pair) const
  {
    const double *d = asked.vectors + 3 * pair;
    const int64_t i = asked.first[pair], j = asked.second[pair];
    const int64_t one = kinds[asked.types[i]], other = kinds[asked.types[j]];
    const double distance = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    if (distance >= shortest[one * species.size() + other]) return;
    std::ostringstream told;
    told << "sites " << asked.tags[i] << " and " << asked.tags[j] << " (" << species[one] << "-" << species[other] << ") are "
         << distance << " apart: the learned magnet has no data for this";
    throw std::runtime_error(told.str());
  }

  // Sites by their distance in pairs, rows of neighbours of those that have less than `layers`, and where vectors go.
  void arrange(const Question &asked)
  {
    arranged = -1;
    std::vector<int> steps(asked.sites, layers + 1);    // layers + 1: no pair leads there
    std::fill(steps.begin(), steps.begin() + asked.owned, 0);
    for (int k = 1; k <= layers; k++)
      for (int64_t p = 0; p < asked.pairs; p++)
        if (steps[asked.first[p]] == k - 1) steps[asked.second[p]] = std::min(steps[asked.second[p]], k);
    std::vector<int64_t> count(asked.sites, 0), ends(layers + 1);
    int64_t width = 2;
    for (int64_t p = 0; p < asked.pairs; p++)
      if (steps[asked.first[p]] < layers) {
        require_trained(asked, p);
        width = std::max(width, ++count[asked.first[p]]);
      }
    order.clear();
    std::vector<int64_t> sent(asked.sites, -1);
    for (int k = 0; k <= layers; k++) {
      for (int64_t i = 0; i < asked.sites; i++) {
        if (steps[i] != k) continue;
        if (k > 0 && k < layers && !count[i])
          throw std::runtime_error("a ghost without pairs of its own: list neighbours of ghosts");
        sent[i] = FILL + static_cast<int64_t>(order.size());
        order.push_back(i);
      }
      ends[k] = FILL + static_cast<int64_t>(order.size());
    }
    fill_rows(asked, sent, ends, width);
    arranged = asked.places;
  }

  void fill_rows(const Question &asked, const std::vector<int64_t> &sent, const std::vector<int64_t> &ends, int64_t width)
  {
    const int64_t rows = ends[layers - 1], sites = ends[layers];
    const auto whole = at::TensorOptions().dtype(at::kLong);
    at::Tensor vectors = at::zeros({rows, width, 3}, at::kDouble), near = at::empty({rows, width}, whole);
    at::Tensor kind = at::zeros({sites}, whole);
    vectors.select(2, 0).fill_(2.0 * cutoff);    // pairs that fill rows: beyond the cutoff, of a site with itself
    near.copy_(at::arange(rows, whole).unsqueeze(1).expand({rows, width}));
    std::vector<int64_t> taken(rows, 0);
    slots.assign(asked.pairs, -1);
    for (int64_t p = 0; p < asked.pairs; p++) {
      const int64_t row = sent[asked.first[p]];
      if (row < 0 || row >= rows) continue;
      slots[p] = row * width + taken[row]++;
      near.data_ptr<int64_t>()[slots[p]] = sent[asked.second[p]];
      std::copy(asked.vectors + 3 * p, asked.vectors + 3 * p + 3, vectors.data_ptr<double>() + 3 * slots[p]);
    }
    for (size_t k = 0; k < order.size(); k++) kind.data_ptr<int64_t>()[FILL + k] = kinds[asked.types[order[k]]];
    arguments = {vectors.to(real), near, kind, at::Tensor()};
    for (int k = layers - 1; k >= 0; k--) arguments.push_back(at::arange(ends[k], whole));
  }

  void evaluate(Question &asked)
  {
    const int64_t sites = FILL + static_cast<int64_t>(order.size());
    at::Tensor spins = at::zeros({sites, 3}, at::kDouble);
    for (size_t k = 0; k < order.size(); k++) {
      const double *sp = asked.spins + 4 * order[k];
      if (sp[3] > 0.0) std::copy(sp, sp + 3, spins.data_ptr<double>() + 3 * (FILL + k));
    }
    arguments[SPINS] = spins.to(real);
    std::vector<at::Tensor> found = (asked.forces ? forces : fields)->run(arguments);
    for (auto &one : found) one = one.to(at::kDouble).contiguous();
    const double *energy = found[0].data_ptr<double>() + FILL, *field = found[1].data_ptr<double>() + 3 * FILL;
    for (int64_t i = 0; i < asked.owned; i++) {
      asked.energy += energy[i];
      asked.site_energy[i] += energy[i];
    }
    const double hbar = force->hplanck / TWO_PI;
    for (size_t k = 0; k < order.size(); k++)
      if (asked.spins[4 * order[k] + 3] > 0.0)
        for (int a = 0; a < 3; a++) asked.field[3 * order[k] + a] += field[3 * k + a] / hbar;
    if (asked.forces) pull(asked, found[2].data_ptr<double>());
  }

  // Forces and virial from slopes by vectors of pairs.
  void pull(Question &asked, const double *slopes) const
  {
    static const int row[6] = {0, 1, 2, 0, 0, 1}, column[6] = {0, 1, 2, 1, 2, 2};
    for (int64_t p = 0; p < asked.pairs; p++) {
      if (slots[p] < 0) continue;
      const double *slope = slopes + 3 * slots[p], *d = asked.vectors + 3 * p;
      for (int a = 0; a < 3; a++) {
        asked.force[3 * asked.first[p] + a] += slope[a];
        asked.force[3 * asked.second[p] + a] -= slope[a];
      }
      for (int k = 0; k < 6; k++)
        asked.virial[k] += 0.5 * (slope[row[k]] * d[column[k]] + slope[column[k]] * d[row[k]]);
    }
  }
};

}    // namespace LAMMPS_NS

#endif
