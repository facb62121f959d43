package config

import (
	"fmt"
	"slices"
	"strings"
)

// Factors of a configuration, as the registry and the public table methods
// name them.
const (
	Classifier    = "classifier"
	Featurization = "featurization"
	Outlier       = "outlier"
	Imputation    = "imputation"
)

const (
	// EnsemblePrefix begins the name of an ensemble of classifiers.
	EnsemblePrefix = "ensemble-"
	// ensembleCategory is the category of such ensembles; they have no entry
	// of their own that could name one.
	ensembleCategory = "ensemble"
	// GroundTruth is the category of the methods that others are compared with.
	GroundTruth = "ground truth"
)

// Factors returns the four factors in the order of a configuration.
func Factors() []string { return []string{Classifier, Featurization, Outlier, Imputation} }

// Category is a family of methods that figures draw alike.
type Category struct {
	Name  string `yaml:"name"` // "ground truth", "ensemble", "foundation model", …
	Label string `yaml:"label"`
}

// Method is one value of a factor.
type Method struct {
	Name       string // as MLflow spells it
	Factor     string
	Category   string // a Category's Name
	Label      string // as figures and tables print it
	Registered bool   // false: in the database by name, not in figures
}

// Pipeline is a configuration that the study calls by a name.
type Pipeline struct {
	Name          string `yaml:"name"`
	Label         string `yaml:"label"`
	Category      string `yaml:"category"` // a Category's Name
	Outlier       string `yaml:"outlier"`
	Imputation    string `yaml:"imputation"`
	Classifier    string `yaml:"classifier"`
	Featurization string `yaml:"featurization"`
	Extended      bool   `yaml:"extended"` // true: not one of the five of the main figures
}

// Registry is the content of configs/registry.yaml. It does not change after
// LoadRegistry and may be used by several goroutines.
type Registry struct {
	categories []Category
	methods    map[string][]Method // by factor, in file order
	prefixes   map[string]string   // lower-case prefix or name of a classifier → name
	pipelines  []Pipeline
}

type registryFile struct {
	Categories []Category `yaml:"categories"`
	Methods    struct {
		Classifier    []methodEntry `yaml:"classifier"`
		Featurization []methodEntry `yaml:"featurization"`
		Outlier       []methodEntry `yaml:"outlier"`
		Imputation    []methodEntry `yaml:"imputation"`
	} `yaml:"methods"`
	Pipelines []Pipeline `yaml:"pipelines"`
}

type methodEntry struct {
	Name       string `yaml:"name"`
	Prefix     string `yaml:"prefix"`
	Label      string `yaml:"label"`
	Category   string `yaml:"category"`
	Registered *bool  `yaml:"registered"` // absent: true
}

// LoadRegistry reads and checks the registry at path.
func LoadRegistry(path string) (*Registry, error) {
	var file registryFile
	if err := readStrict(path, &file); err != nil {
		return nil, err
	}
	r, err := newRegistry(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func newRegistry(file registryFile) (*Registry, error) {
	r := &Registry{
		categories: file.Categories,
		methods:    map[string][]Method{},
		prefixes:   map[string]string{},
		pipelines:  file.Pipelines,
	}
	for i, c := range r.categories {
		if c.Name == "" || c.Label == "" {
			return nil, fmt.Errorf("category %d lacks a name or a label", i+1)
		}
		if j := slices.IndexFunc(r.categories, func(o Category) bool { return o.Name == c.Name }); j != i {
			return nil, fmt.Errorf("category %q stands there twice", c.Name)
		}
	}
	if _, ok := r.category(ensembleCategory); !ok {
		return nil, fmt.Errorf("category %q, which ensembles of classifiers have, is not listed", ensembleCategory)
	}
	entries := map[string][]methodEntry{
		Classifier:    file.Methods.Classifier,
		Featurization: file.Methods.Featurization,
		Outlier:       file.Methods.Outlier,
		Imputation:    file.Methods.Imputation,
	}
	for _, factor := range Factors() {
		if len(entries[factor]) == 0 {
			return nil, fmt.Errorf("methods.%s lists no method", factor)
		}
		for i, e := range entries[factor] {
			if err := r.add(factor, e); err != nil {
				return nil, fmt.Errorf("methods.%s, entry %d: %w", factor, i+1, err)
			}
		}
	}
	names := map[string]bool{}
	for _, p := range r.pipelines {
		if p.Name == "" || p.Label == "" || names[p.Name] {
			return nil, fmt.Errorf("pipeline %q: the name or the label is missing, or the name stands there twice", p.Name)
		}
		names[p.Name] = true
		if _, ok := r.category(p.Category); !ok {
			return nil, fmt.Errorf("pipeline %q: category %q is not listed", p.Name, p.Category)
		}
		for i, name := range []string{p.Classifier, p.Featurization, p.Outlier, p.Imputation} {
			if m, ok := r.Method(Factors()[i], name); !ok || !m.Registered {
				return nil, fmt.Errorf("pipeline %q: %s %q is not a registered method", p.Name, Factors()[i], name)
			}
		}
	}
	return r, nil
}

func (r *Registry) add(factor string, e methodEntry) error {
	switch {
	case e.Name == "" || e.Label == "":
		return fmt.Errorf("method %q lacks a name or a label", e.Name)
	case strings.Contains(e.Name, "__"):
		return fmt.Errorf("method %q holds the two underscores that separate the parts of a run name", e.Name)
	case factor == Classifier && (e.Prefix == "" || strings.ContainsAny(e.Name, "-_")):
		return fmt.Errorf("classifier %q needs a prefix and a name without hyphen and underscore, by which ensembles are taken apart", e.Name)
	case factor != Classifier && e.Prefix != "":
		return fmt.Errorf("method %q has a prefix; only classifiers do", e.Name)
	}
	if _, ok := r.category(e.Category); !ok {
		return fmt.Errorf("method %q: category %q is not listed", e.Name, e.Category)
	}
	for _, m := range r.methods[factor] {
		if m.Name == e.Name || m.Label == e.Label {
			return fmt.Errorf("method %q has the name or the label of %q", e.Name, m.Name)
		}
	}
	if factor == Classifier {
		for _, key := range []string{strings.ToLower(e.Name), strings.ToLower(e.Prefix)} {
			if other, ok := r.prefixes[key]; ok && other != e.Name {
				return fmt.Errorf("classifiers %q and %q share the prefix %q", other, e.Name, key)
			}
			r.prefixes[key] = e.Name
		}
	}
	r.methods[factor] = append(r.methods[factor], Method{
		Name: e.Name, Factor: factor, Category: e.Category, Label: e.Label,
		Registered: e.Registered == nil || *e.Registered,
	})
	return nil
}

// Method returns the method of a factor by its name, registered or not. False
// means that the name is free text of a store and private. An ensemble of
// registered classifiers is known, and not registered.
func (r *Registry) Method(factor, name string) (Method, bool) {
	for _, m := range r.methods[factor] {
		if m.Name == name {
			return m, true
		}
	}
	if factor == Classifier {
		if canonical, ok := r.ensemble(name); ok && canonical == name {
			var labels []string
			for member := range strings.SplitSeq(strings.TrimPrefix(name, EnsemblePrefix), "-") {
				m, _ := r.Method(Classifier, member)
				labels = append(labels, m.Label)
			}
			return Method{
				Name: name, Factor: Classifier, Category: ensembleCategory,
				Label: "Ensemble (" + strings.Join(labels, ", ") + ")",
			}, true
		}
	}
	return Method{}, false
}

// Methods returns the methods of a factor in the order of the file, with the
// unregistered ones.
func (r *Registry) Methods(factor string) []Method { return slices.Clone(r.methods[factor]) }

// Classifier returns the name of the classifier whose run names begin with
// prefix; upper and lower case are the same. It maps a name to itself, and
// ensembles of classifiers member by member. False means an unknown one.
func (r *Registry) Classifier(prefix string) (string, bool) {
	if name, ok := r.prefixes[strings.ToLower(prefix)]; ok {
		return name, true
	}
	return r.ensemble(prefix)
}

// ensemble maps every member of ensemble-A-B-… to its name. Two or more
// different registered classifiers make an ensemble.
func (r *Registry) ensemble(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, EnsemblePrefix)
	if !ok {
		return "", false
	}
	members := strings.Split(rest, "-")
	if len(members) < 2 {
		return "", false
	}
	for i, member := range members {
		known, ok := r.prefixes[strings.ToLower(member)]
		if !ok || slices.Contains(members[:i], known) {
			return "", false
		}
		if m, _ := r.Method(Classifier, known); !m.Registered {
			return "", false
		}
		members[i] = known
	}
	return EnsemblePrefix + strings.Join(members, "-"), true
}

// Pipelines returns the named pipelines in the order of the file.
func (r *Registry) Pipelines() []Pipeline { return slices.Clone(r.pipelines) }

// Categories returns the categories in the order of the file.
func (r *Registry) Categories() []Category { return slices.Clone(r.categories) }

// CategoryLabel returns how figures print a category; a name that is not
// listed is printed as it stands.
func (r *Registry) CategoryLabel(name string) string {
	if c, ok := r.category(name); ok {
		return c.Label
	}
	return name
}

func (r *Registry) category(name string) (Category, bool) {
	for _, c := range r.categories {
		if c.Name == name {
			return c, true
		}
	}
	return Category{}, false
}
