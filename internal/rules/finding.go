package rules

import (
	"fmt"
	"strings"
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
