package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// Finding is one thing that is wrong with a database. It says where, and never
// quotes a text of the database: a text that is wrong may be private.
type Finding struct {
	Table    string
	Column   string // empty: the table as a whole
	ConfigID int    // 0: no single configuration
	Run      string // id of the run that it is about; empty: no single one
	Message  string
	Warning  bool // worth knowing, and no reason to stop
}

// String is the finding as a line of a log.
func (f Finding) String() string {
	var b strings.Builder
	if f.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(f.Table)
	if f.Column != "" {
		b.WriteString("." + f.Column)
	}
	if f.ConfigID != 0 {
		fmt.Fprintf(&b, " config_id %d", f.ConfigID)
	}
	if f.Run != "" {
		b.WriteString(" run " + f.Run)
	}
	return b.String() + ": " + f.Message
}

// maxFindings is how many findings of one rule are listed; what is systematic
// would only bury the rest.
const maxFindings = 10

// Verdict is what Validate found, and how far it looked.
type Verdict struct {
	Findings []Finding
	// Recomputed counts the configurations whose measures of the mean risk, intervals
	// of resamples included, were computed again from the predictions; Curves counts
	// those among them of which intervals of errors of the smoothed calibration curve
	// were, too. Without exact predictions there are none.
	Recomputed, Curves int
}

// Validate holds a database against the schema, the rules that keys and checks
// of a database would keep, what one table says of another, and the registry
// (nil: not that). No findings means that figures and tables can be made of it.
// An error means that it could not be looked at.
func Validate(ctx context.Context, path string, reg *config.Registry) (*Verdict, error) {
	db, err := duckfile.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // read only: nothing can be lost
	v := &validator{ctx: ctx, db: db}
	if err := v.schema(); err != nil {
		return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
	}
	if len(v.Findings) > 0 { // the other rules would trip over what is missing
		return &v.Verdict, nil
	}
	meta, err := v.pairs("SELECT key, value FROM meta")
	if err != nil {
		return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
	}
	v.privacy = disclosure.PrivacyOf(meta)
	for _, step := range []func() error{v.columns, v.rules, v.measures, v.again, v.methods(reg), v.meta, v.comparisons} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
		}
	}
	return &v.Verdict, nil
}

type validator struct {
	ctx     context.Context
	db      *sql.DB
	privacy disclosure.Privacy // as the database says
	Verdict
}

func (v *validator) add(f Finding) { v.Findings = append(v.Findings, f) }

// schema wants exactly our tables and views, and nothing beside them.
func (v *validator) schema() error {
	found, err := duckfile.Tables(v.ctx, v.db)
	if err != nil {
		return err
	}
	for _, want := range schema.Tables {
		i := slices.IndexFunc(found, func(t duckfile.Table) bool { return t.Name == want.Name })
		if i < 0 {
			v.add(Finding{Table: want.Name, Message: "the table is missing"})
			continue
		}
		v.sameColumns(want, found[i])
	}
	for _, t := range found {
		if !slices.ContainsFunc(schema.Tables, func(want schema.Table) bool { return want.Name == t.Name }) {
			v.add(Finding{Table: "schema", Message: "there is a table that is not of this schema"})
		}
	}
	return v.catalogue()
}

// catalogue wants of what people can write into a database beside its rows
// nothing but the definitions of our tables and views.
func (v *validator) catalogue() error {
	for _, o := range []struct{ what, query string }{
		{"schemas", `SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND schema_name <> 'main' AND database_name = current_database()`},
		{"indexes", `SELECT index_name FROM duckdb_indexes() WHERE database_name = current_database()`},
		{"constraints", `SELECT constraint_type FROM duckdb_constraints() WHERE database_name = current_database()`},
		{"sequences", `SELECT sequence_name FROM duckdb_sequences() WHERE database_name = current_database()`},
		{"macros", `SELECT function_name FROM duckdb_functions() WHERE NOT internal AND database_name = current_database()`},
		{"types", `SELECT type_name FROM duckdb_types() WHERE NOT internal AND database_name = current_database()`},
		{"comments", "SELECT text FROM (" + duckfile.CatalogQuery + ") WHERE kind = 'comment'"},
	} {
		all, err := duckfile.Texts(v.ctx, v.db, o.query)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			v.add(Finding{Table: "schema", Message: fmt.Sprintf("there are %d %s, which this schema has none of", len(all), o.what)})
		}
	}
	found, err := duckfile.Texts(v.ctx, v.db, `SELECT view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()`)
	if err != nil {
		return err
	}
	ours := 0
	for _, want := range schema.Views {
		if slices.Contains(found, want.Name) {
			ours++
		} else {
			v.add(Finding{Table: want.Name, Message: "the view is missing"})
		}
	}
	if n := len(found) - ours; n > 0 {
		v.add(Finding{Table: "schema", Message: fmt.Sprintf("there are %d views that are not of this schema", n)})
	}
	if len(v.Findings) > 0 { // the definitions would say it again
		return nil
	}
	want, err := ownDefinitions()
	if err != nil {
		return err
	}
	if found, err = duckfile.Texts(v.ctx, v.db, definitionsQuery); err != nil {
		return err
	}
	if !slices.Equal(found, want) {
		v.add(Finding{Table: "schema", Message: "a table or a view is defined in another way: a default, a literal or a computed column may hold what is private"})
	}
	return nil
}

const definitionsQuery = `SELECT sql FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal AND database_name = current_database() ORDER BY 1`

// ownDefinitions is what an empty database of this schema says of itself: DuckDB
// words the definitions anew, so they can only be compared with its own words. They
// are the same for all databases, so one validation makes them for all.
var ownDefinitions = sync.OnceValues(func() (all []string, err error) {
	ctx := context.Background() // the next validation wants them, too
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, t := range schema.Tables {
		if _, err := db.ExecContext(ctx, t.DDL()); err != nil {
			return nil, err
		}
	}
	for _, v := range schema.Views {
		if _, err := db.ExecContext(ctx, v.DDL); err != nil {
			return nil, err
		}
	}
	return duckfile.Texts(ctx, db, definitionsQuery)
})

func (v *validator) sameColumns(want schema.Table, got duckfile.Table) {
	for i, c := range want.Columns {
		switch {
		case i >= len(got.Columns):
			v.add(Finding{Table: want.Name, Column: c.Name, Message: "the column is missing"})
		case got.Columns[i].Name != c.Name:
			v.add(Finding{Table: want.Name, Column: c.Name, Message: fmt.Sprintf("column %d is another", i+1)})
			return // all that follow would be off by one
		case got.Columns[i].Kind != c.Kind:
			v.add(Finding{Table: want.Name, Column: c.Name, Message: fmt.Sprintf("has the type %s, not %s", got.Columns[i].Kind, c.Kind)})
		}
	}
	if n := len(got.Columns) - len(want.Columns); n > 0 {
		v.add(Finding{Table: want.Name, Message: fmt.Sprintf("%d columns more than the schema has", n)})
	}
}

// rule is a query for rows that should not be: its one column is the config_id
// concerned, or NULL; with runs a second one is the run_id.
type rule struct {
	table, column, message, query string
	warning, runs                 bool
}

func (v *validator) hold(r rule) error {
	run := "NULL"
	if r.runs {
		run = "run_id"
	}
	columns := "config_id"
	if r.runs {
		columns += ", run_id"
	}
	broken, err := v.counts("SELECT config_id, "+run+", count(*) FROM ("+r.query+") AS broken("+columns+") GROUP BY ALL ORDER BY ALL NULLS FIRST", 1)
	if err != nil {
		return fmt.Errorf("rule %s.%s %q: %w", r.table, r.column, r.message, err)
	}
	v.report(r, broken[0])
	return nil
}

func (v *validator) holdAll(table, id string, all []condition) error {
	counts := make([]string, len(all))
	for i, c := range all {
		counts[i] = "count(*) FILTER (WHERE " + c.sql + ")" // count_if is NULL where all are
	}
	broken, err := v.counts(fmt.Sprintf("SELECT %s AS config_id, NULL, %s FROM %s GROUP BY ALL ORDER BY config_id NULLS FIRST", id, strings.Join(counts, ", "), table), len(all))
	if err != nil {
		return fmt.Errorf("columns of %s: %w", table, err)
	}
	for i, c := range all {
		v.report(rule{table: table, column: c.column, message: c.message}, broken[i])
	}
	return nil
}

// breach is how many rows of a configuration (0: of none) and a run ("": of none
// that may be named) break a rule.
type breach struct {
	config int
	run    string
	rows   int
}

// counts reads a query of a config_id, a run_id and n counts, and returns for each
// count where it is not 0.
func (v *validator) counts(query string, n int) (broken [][]breach, err error) {
	rows, err := v.db.QueryContext(v.ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	broken = make([][]breach, n)
	var id sql.NullInt64
	var run sql.NullString
	found := make([]int, n)
	into := []any{&id, &run}
	for i := range found {
		into = append(into, &found[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		if !disclosure.PublicRunForm.MatchString(run.String) {
			run.String = "" // it may be anything, and other rules say so
		}
		for i, count := range found {
			if count > 0 {
				broken[i] = append(broken[i], breach{int(id.Int64), run.String, count})
			}
		}
	}
	return broken, rows.Err()
}

func (v *validator) report(r rule, broken []breach) {
	what := "configurations"
	if r.runs {
		what = "runs"
	}
	for i, b := range broken {
		if i == maxFindings {
			v.add(Finding{Table: r.table, Column: r.column, Warning: r.warning,
				Message: fmt.Sprintf("%s: the same for %d more %s", r.message, len(broken)-maxFindings, what)})
			return
		}
		message := r.message
		if b.rows > 1 {
			message += fmt.Sprintf(" (%d rows)", b.rows)
		}
		v.add(Finding{Table: r.table, Column: r.column, ConfigID: b.config, Run: b.run, Message: message, Warning: r.warning})
	}
}

// condition is what no row of a table may be.
type condition struct{ column, message, sql string }

// columns holds every table against what the schema says of its columns: one
// pass a table, for a query each would take most of the time of a build.
func (v *validator) columns() error {
	for _, t := range schema.Tables {
		id := "NULL"
		if slices.ContainsFunc(t.Columns, func(c schema.Column) bool { return c.Name == "config_id" }) {
			id = "config_id"
		}
		var all []condition
		for _, c := range t.Columns {
			all = append(all, conditions(c)...)
		}
		if err := v.holdAll(t.Name, id, all); err != nil {
			return err
		}
		key := make([]string, len(t.Key))
		for i, k := range t.Key {
			key[i] = duckfile.Quote(k)
		}
		if err := v.hold(rule{table: t.Name, column: strings.Join(t.Key, ", "), message: "occurs more than once",
			query: fmt.Sprintf("SELECT any_value(%s) FROM %s GROUP BY %s HAVING count(*) > 1", id, t.Name, strings.Join(key, ", "))}); err != nil {
			return err
		}
	}
	return nil
}

func conditions(c schema.Column) (all []condition) {
	add := func(message, sql string) {
		all = append(all, condition{c.Name, message, strings.ReplaceAll(sql, "@", duckfile.Quote(c.Name))})
	}
	if c.Traits&schema.Nullable == 0 {
		add("is NULL", "@ IS NULL")
	}
	if c.Kind == duckfile.Double {
		add("is NaN; what is undefined is NULL", "isnan(@)")
		if c.Traits&(schema.Infinite|schema.Unit) == 0 {
			add("is infinite", "isinf(@)")
		}
	}
	switch {
	case c.Traits&schema.Unit != 0:
		add("is not in [0, 1]", "NOT isnan(CAST(@ AS DOUBLE)) AND @ NOT BETWEEN 0 AND 1")
	case c.Traits&schema.Natural != 0:
		add("is below 0", "@ < 0")
	}
	if c.Kind == duckfile.Varchar {
		add("is empty text; what is absent is NULL", "@ = ''")
		add("holds what looks like an original subject code", "regexp_matches(@, '(?i)plr[0-9]{4}')")
	}
	return all
}

func (v *validator) rules() error {
	var all []rule
	for _, t := range schema.Tables {
		if t.Name == schema.Essential || !slices.ContainsFunc(t.Columns, func(c schema.Column) bool { return c.Name == "config_id" }) {
			continue
		}
		all = append(all, rule{table: t.Name, column: "config_id", message: "is not in " + schema.Essential,
			query: "SELECT config_id FROM " + t.Name + " WHERE config_id IS NOT NULL AND config_id NOT IN (SELECT config_id FROM essential_metrics)"})
		if slices.Contains(subjectTables, t.Name) ||
			slices.Contains([]string{schema.Checks, schema.Runs, schema.ROC, schema.Lineage, schema.Cells, schema.Differences, schema.Selected}, t.Name) {
			continue // they have rules of their own
		}
		all = append(all, rule{table: t.Name, column: "config_id", message: "the configuration has no row",
			query: "SELECT config_id FROM essential_metrics WHERE config_id NOT IN (SELECT config_id FROM " + t.Name + ")"})
	}
	for _, serial := range []struct{ table, column string }{
		{schema.Essential, "config_id"}, {schema.Calibration, "curve_id"}, {schema.Histogram, "dist_id"}, {schema.Decision, "dca_id"},
		{schema.Predictions, "prediction_id"}, {schema.Retention, "retention_id"},
	} {
		all = append(all, rule{table: serial.table, column: serial.column, message: "the numbers are not 1 to the number of rows",
			query: fmt.Sprintf("SELECT NULL FROM %s HAVING count(*) > 0 AND (min(%[2]s) <> 1 OR max(%[2]s) <> count(*) OR count(DISTINCT %[2]s) <> count(*))", serial.table, serial.column)})
	}
	for _, c := range schema.Named(schema.Supplementary).Columns[1:] {
		all = append(all, rule{table: schema.Supplementary, column: c.Name, warning: true, message: "is NULL for all configurations: the pickles lack it, or it was lost",
			query: fmt.Sprintf("SELECT NULL FROM %s HAVING count(*) > 0 AND count(%s) = 0", schema.Supplementary, c.Name)})
	}
	for _, r := range slices.Concat(all, contentRules, upstreamRules(), smoothRules, comparisonRules, privacyRules(v.privacy)) {
		if err := v.hold(r); err != nil {
			return err
		}
	}
	return nil
}

// measures wants of every configuration all measures of this version, under both
// estimands.
func (v *validator) measures() error {
	_, forms, err := v.forms()
	if err != nil {
		return err
	}
	for _, estimand := range []string{metrics.OverModels, metrics.MeanRisk} {
		present, err := duckfile.Texts(v.ctx, v.db, "SELECT DISTINCT measure FROM stratos_metrics WHERE estimand = "+duckfile.QuoteText(estimand)+" ORDER BY 1")
		if err != nil {
			return err
		}
		for _, m := range slices.Sorted(maps.Keys(forms[estimand])) {
			if !slices.Contains(present, m) {
				v.add(Finding{Table: schema.Stratos, Column: "measure", Message: fmt.Sprintf("%s, %s is missing for all configurations", estimand, m)})
			}
		}
	}
	return v.hold(rule{table: schema.Stratos, column: "measure", message: "measures are missing that other configurations have",
		query: "SELECT config_id FROM (SELECT config_id, estimand, measure FROM essential_metrics, (SELECT DISTINCT estimand, measure FROM stratos_metrics) EXCEPT SELECT config_id, estimand, measure FROM stratos_metrics)"})
}

// factorColumns say which column of the configurations has the names of which
// factor.
var factorColumns = []struct{ factor, column string }{
	{config.Classifier, "classifier"}, {config.Featurization, "featurization"},
	{config.Outlier, "outlier_method"}, {config.Imputation, "imputation_method"},
}

func (v *validator) methods(reg *config.Registry) func() error {
	return func() error {
		listed, err := readRows(v.ctx, v.db, schema.Named(schema.Methods), every)
		if err != nil {
			return err
		}
		var agreed []string
		for _, f := range factorColumns {
			if err := v.hold(rule{table: schema.Essential, column: f.column, message: "is not in the table methods",
				query: fmt.Sprintf("SELECT config_id FROM essential_metrics WHERE %s NOT IN (SELECT name FROM methods WHERE factor = %s)", f.column, duckfile.QuoteText(f.factor))}); err != nil {
				return err
			}
			agreed = append(agreed, fmt.Sprintf("(SELECT bool_and(registered) FROM methods WHERE factor = %s AND name = %s)", duckfile.QuoteText(f.factor), f.column))
			if reg == nil {
				continue
			}
			unknown, different := 0, 0
			for _, r := range listed {
				name := r.text("name")
				if r.text("factor") != f.factor {
					continue
				}
				method, ok := reg.Method(f.factor, name)
				if !ok && !disclosure.IsUnregistered(name) {
					unknown++
					continue
				}
				if !ok {
					method = disclosure.UnregisteredMethod(f.factor, name)
				}
				if registered, _ := r.cells[r.columns["registered"]].(bool); r.text("category") != method.Category || r.text("label") != method.Label || registered != method.Registered {
					different++
				}
			}
			if different > 0 {
				v.add(Finding{Table: schema.Methods, Column: "category, label, registered", Message: fmt.Sprintf("%d methods of the factor %s are not described as in the registry: build the database again, or take the registry that it was built with", different, f.factor)})
			}
			if unknown > 0 {
				v.add(Finding{Table: schema.Methods, Column: "name", Message: fmt.Sprintf("%d methods of the factor %s are not in the registry: such a name is private; add it to the registry or build the database again", unknown, f.factor)})
			}
		}
		if err := v.hold(rule{table: schema.Essential, column: "registered", message: "does not agree with the table methods",
			query: "SELECT config_id FROM essential_metrics WHERE registered <> (" + strings.Join(agreed, " AND ") + ")"}); err != nil {
			return err
		}
		return v.hold(rule{table: schema.Methods, column: "factor", message: "is none of the four factors",
			query: "SELECT NULL FROM methods WHERE factor NOT IN ('classifier', 'featurization', 'outlier', 'imputation')"})
	}
}

// commonCounts are said where they are the same for all configurations. How many
// refits there were stands in the notes.
var commonCounts = []struct{ key, query string }{
	{"n_test", "SELECT DISTINCT CAST(n_test AS VARCHAR) FROM essential_metrics"},
	{"n_refits", "SELECT DISTINCT regexp_extract(note, ' over ([0-9]+) refits?', 1) FROM stratos_metrics WHERE estimand = '" + metrics.OverModels + "'"},
}

// meta compares what the file says of itself with what it holds.
func (v *validator) meta() error {
	counts := map[string]string{
		"n_configs":      "SELECT count(*) FROM essential_metrics",
		"n_runs":         "SELECT count(*) FROM runs",
		"n_unregistered": "SELECT count(*) FROM methods WHERE starts_with(name, " + duckfile.QuoteText(disclosure.Unregistered) + ")",
		"n_compared":     "SELECT count(*) FROM essential_metrics WHERE registered AND config_id NOT IN (SELECT config_id FROM paired_differences WHERE config_id IS NOT NULL AND undefined = " + duckfile.QuoteText(comparison.OtherSubjects) + ")",
	}
	for _, verdict := range disclosure.Verdicts {
		counts["runs."+string(verdict)] = "SELECT count(*) FROM runs WHERE verdict = " + duckfile.QuoteText(string(verdict))
	}
	closed := map[string][]string{
		"schema_version": {schema.Version},
		"synthetic":      {"true", "false"},
		"estimand":       {metrics.OverModels, metrics.MeanRisk},
	}
	maps.Copy(closed, disclosure.PrivacyValues())
	for _, stage := range config.Stages() {
		closed[disclosure.FlowKey(stage)] = disclosure.FlowValues()
	}
	rows, err := v.pairs("SELECT key, value FROM meta")
	if err != nil {
		return err
	}
	keys := []string{"n_subjects", "n_control", "n_event", "n_unlabelled"}
	for key := range counts {
		keys = append(keys, key)
	}
	for key := range closed {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	number := map[string]int{}
	for _, key := range keys {
		value, ok := rows[key]
		n, err := strconv.Atoi(value)
		number[key] = n
		_, isClosed := closed[key]
		switch {
		case !ok:
			v.add(Finding{Table: schema.Meta, Column: "key", Message: key + " is missing"})
		case isClosed && !slices.Contains(closed[key], value):
			v.add(Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is not %s", key, strings.Join(closed[key], " or "))})
		case !isClosed && (err != nil || n < 0):
			v.add(Finding{Table: schema.Meta, Column: "value", Message: key + " is not a count"})
		case counts[key] != "":
			var held int
			if err := v.db.QueryRowContext(v.ctx, counts[key]).Scan(&held); err != nil {
				return err
			}
			if held != n {
				v.add(Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is %d, and the tables hold %d", key, n, held)})
			}
		}
	}
	for _, c := range commonCounts {
		held, err := duckfile.Texts(v.ctx, v.db, c.query)
		if err != nil {
			return err
		}
		if value, ok := rows[c.key]; ok != (len(held) == 1) || ok && value != held[0] {
			v.add(Finding{Table: schema.Meta, Column: "value", Message: c.key + " is not what the tables hold, or is said although configurations differ"})
		}
		keys = append(keys, c.key)
	}
	strange := 0
	for key, value := range rows {
		setting, isSetting := strings.CutPrefix(key, "settings.")
		if !slices.Contains(keys, key) && !(isSetting && disclosure.PublishedSetting(setting, value)) {
			strange++
		}
	}
	if strange > 0 {
		v.add(Finding{Table: schema.Meta, Column: "key", Message: fmt.Sprintf("%d keys or settings are not of the published form, and so may be private", strange)})
	}
	if number["n_control"]+number["n_event"] != number["n_subjects"] {
		v.add(Finding{Table: schema.Meta, Column: "value", Message: "n_control and n_event do not add up to n_subjects"})
	}
	for _, c := range []struct{ key, letter string }{{"n_control", "H"}, {"n_event", "G"}} {
		var held int
		if err := v.db.QueryRowContext(v.ctx, "SELECT count(DISTINCT subject_code) FROM predictions WHERE starts_with(subject_code, ?)", c.letter).Scan(&held); err != nil {
			return err
		}
		if held > number[c.key] {
			v.add(Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is %d, and the predictions hold %d", c.key, number[c.key], held)})
		}
	}
	return nil
}

func (v *validator) pairs(query string) (all map[string]string, err error) {
	rows, err := v.db.QueryContext(v.ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = map[string]string{}
	for rows.Next() {
		var key, value sql.NullString // NULL is a finding of its own
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		all[key.String] = value.String
	}
	return all, rows.Err()
}
