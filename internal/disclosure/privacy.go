// Package disclosure says what the public database may tell: of single subjects, and
// in which words of runs, methods and settings. Nothing that is free text in a store
// is among them; what stands for it is made here.
//
// It does not know how rows are made or checked, nor any original code or name.
package disclosure

import (
	"fmt"
	"math"
	"strconv"
)

// Privacy says what the public database tells of single subjects. An exact risk is a
// key for whoever holds one of the pickles: it leads from a code to the original.
type Privacy struct {
	SubjectTables  bool // predictions and risk_quantiles have rows
	RoundRisks     int  // decimals of what is, or may be, the risk of one subject; 0: all
	BootstrapRisks bool // bootstrap_risks has rows for the named pipelines
}

// Meta is what the table meta says of it, by key.
func (p Privacy) Meta() map[string]string {
	word := map[bool]string{true: On, false: Off}
	decimals := notRounded
	if p.RoundRisks > 0 {
		decimals = strconv.Itoa(p.RoundRisks)
	}
	return map[string]string{
		subjectTablesKey: word[p.SubjectTables], roundRisksKey: decimals, bootstrapRisksKey: word[p.BootstrapRisks],
	}
}

// HalfUnit is by how much rounding may move a risk.
func (p Privacy) HalfUnit() float64 {
	if p.RoundRisks == 0 {
		return 0
	}
	return math.Pow10(-p.RoundRisks) / 2
}

// Rounded is a risk as it is published: the float64 nearest to the decimal
// number.
func (p Privacy) Rounded(risk float64) float64 {
	if p.RoundRisks == 0 || math.IsNaN(risk) {
		return risk
	}
	decimal, err := strconv.ParseFloat(strconv.FormatFloat(risk, 'f', p.RoundRisks, 64), 64)
	if err != nil {
		panic(fmt.Sprintf("disclosure: a number that was just printed: %v", err))
	}
	return decimal
}

// What the table meta says of something that can be switched.
const (
	On  = "on"
	Off = "off"
)

// What the table meta says of a database's privacy.
const (
	subjectTablesKey  = "settings.subject_tables"
	roundRisksKey     = "settings.round_risks"
	bootstrapRisksKey = "settings.bootstrap_risks"

	notRounded = "none"
)

// PrivacyValues are the keys in the table meta that tell the privacy of a database,
// with all values that they may have.
func PrivacyValues() map[string][]string {
	return map[string][]string{
		subjectTablesKey:  {On, Off},
		bootstrapRisksKey: {On, Off},
		roundRisksKey:     {notRounded, "1", "2", "3", "4", "5", "6"},
	}
}

// PrivacyOf reads what the table meta says, by key; what it says wrongly is a finding elsewhere.
func PrivacyOf(meta map[string]string) Privacy {
	decimals, err := strconv.Atoi(meta[roundRisksKey])
	if err != nil {
		decimals = 0
	}
	return Privacy{meta[subjectTablesKey] != Off, decimals, meta[bootstrapRisksKey] == On}
}
