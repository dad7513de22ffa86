package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"culvert/config"
)

// maxImport bounds an imported file, in bytes: some 40,000 clients.
const maxImport = 4 << 20

// RenameClient gives a client, named by its name or its public key, another name. Its grants
// and live connections stay.
func RenameClient(ctx context.Context, c Common, client, name string) (ClientRow, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return ClientRow{}, err
	}
	defer dir.Close()
	if err := config.CheckName(name); err != nil {
		return ClientRow{}, &Error{Code: CodeUsage, Name: "name", Err: err}
	}
	book, err := openLedger(ctx, dir, c.Logger)
	if err != nil {
		return ClientRow{}, err
	}
	defer book.close()
	g, err := dir.AuthorizedClients().Rename(client, name)
	switch {
	case errors.Is(err, config.ErrNotFound):
		return ClientRow{}, errorf(CodeUsage, "unknown_client", "`culvert clients` lists them", "no client is called %q", client)
	case errors.Is(err, config.ErrNameTaken):
		return ClientRow{}, errorf(CodeUsage, "name_taken", "`culvert clients` shows who has it; take another one", "another client is called %q", name)
	case err != nil:
		return ClientRow{}, stateError(err)
	}
	book.write(actRenamed, append(who(g.Key, g.Name), "named", client)...)
	return clientRow(g, applyGrants(ctx, dir)), nil
}

// ExportClients returns the grants in the form of the file authorized_clients. Lines that cannot
// be understood are left out and returned as problems.
func ExportClients(c Common) (text string, problems []error, err error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return "", nil, err
	}
	defer dir.Close()
	b, bad, err := dir.AuthorizedClients().Export()
	if err != nil {
		return "", nil, stateError(err)
	}
	for _, p := range bad {
		problems = append(problems, p)
	}
	return string(b), problems, nil
}

// ImportClients grants what the lines that ExportClients has made grant: all of them, or none
// if one cannot be understood. from names where they come from, for errors.
func ImportClients(ctx context.Context, c Common, from string, r io.Reader) ([]ClientRow, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	if err == nil && len(data) > maxImport {
		err = fmt.Errorf("%s is longer than %d bytes", from, maxImport)
	}
	if err != nil {
		return nil, errorf(CodeFailure, "import", "", "read clients: %w", err)
	}
	dir, err := openDir(c.StateDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	book, err := openLedger(ctx, dir, c.Logger)
	if err != nil {
		return nil, err
	}
	defer book.close()
	grants, err := dir.AuthorizedClients().Import(from, data)
	if _, wrong := errors.AsType[*config.LineError](err); wrong {
		return nil, &Error{Code: CodeUsage, Name: "import", Err: err, Mend: "mend the lines, or take them out"}
	}
	if err != nil {
		return nil, stateError(err)
	}
	running := applyGrants(ctx, dir)
	rows := make([]ClientRow, 0, len(grants))
	for _, g := range grants {
		book.granted(g, "imported", from)
		rows = append(rows, clientRow(g, running))
	}
	return rows, nil
}
