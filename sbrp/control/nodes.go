package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// node is a relay process that shares the store with others.
type node struct {
	id       string
	url      string // of its relay
	draining bool
}

// Times of leases are the store's: the nodes' clocks may differ.

// join makes the node known, or its lease new. Another one of the same URL is gone, or
// about to be: the newest wins.
func (s *Store) join(ctx context.Context, n node, lease time.Duration) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM nodes WHERE url = $1 AND id <> $2`, n.url, n.id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO nodes (id, url, lease, draining) VALUES ($1, $2, `+s.clock()+` + $3, $4)
			ON CONFLICT (id) DO UPDATE SET lease = excluded.lease, draining = excluded.draining`,
			n.id, n.url, lease.Milliseconds(), n.draining)
		return err
	})
	if err != nil {
		return fmt.Errorf("join nodes: %w", err)
	}
	return nil
}

// beat renews the node's lease. known is false if the store has forgotten the node;
// replaced is true if another one has its URL now.
func (s *Store) beat(ctx context.Context, n node, lease time.Duration) (known, replaced bool, err error) {
	res, err := s.write.ExecContext(ctx, `UPDATE nodes SET lease = `+s.clock()+` + $1, draining = $2 WHERE id = $3`,
		lease.Milliseconds(), n.draining, n.id)
	var rows int64
	if err == nil {
		rows, err = res.RowsAffected()
	}
	if err == nil && rows == 0 {
		err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM nodes WHERE url = $1)`, n.url).Scan(&replaced)
	}
	if err != nil {
		return false, false, fmt.Errorf("renew node's lease: %w", err)
	}
	return rows > 0, replaced, nil
}

// leave forgets the node and who is connected to it.
func (s *Store) leave(ctx context.Context, id string) error {
	if _, err := s.write.ExecContext(ctx, `DELETE FROM nodes WHERE id = $1`, id); err != nil {
		return fmt.Errorf("leave nodes: %w", err)
	}
	return nil
}

// bury forgets the nodes that have been dead for so long.
func (s *Store) bury(ctx context.Context, after time.Duration) error {
	if _, err := s.write.ExecContext(ctx, `DELETE FROM nodes WHERE lease < `+s.clock()+` - $1`, after.Milliseconds()); err != nil {
		return fmt.Errorf("forget dead nodes: %w", err)
	}
	return nil
}

// liveNodes lists the nodes whose lease holds, by id.
func (s *Store) liveNodes(ctx context.Context) ([]node, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, url, draining FROM nodes WHERE lease > `+s.clock()+` ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	defer rows.Close()
	var list []node
	for rows.Next() {
		var n node
		if err := rows.Scan(&n.id, &n.url, &n.draining); err != nil {
			return nil, fmt.Errorf("list nodes: %w", err)
		}
		list = append(list, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	return list, nil
}

// idsAtOnce bounds the parameters of one statement.
const idsAtOnce = 500

// inChunks calls f with so many ids at a time, and with placeholders for them that begin
// at $(first).
func inChunks(ids []string, first int, f func(placeholders string, args []any) error) error {
	for chunk := range slices.Chunk(ids, idsAtOnce) {
		marks, args := make([]string, len(chunk)), make([]any, len(chunk))
		for i, id := range chunk {
			marks[i], args[i] = fmt.Sprintf("$%d", first+i), id
		}
		if err := f(strings.Join(marks, ", "), args); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes that the daemons are connected to a node, wherever they were before; with
// unless, only those that no living node has.
func (s *Store) arrived(ctx context.Context, nodeID string, ids []string, unless bool) error {
	query := `INSERT INTO presences (daemon_id, node_id) SELECT id, $1 FROM daemons WHERE id IN (%s) ORDER BY id
		ON CONFLICT (daemon_id) DO UPDATE SET node_id = excluded.node_id`
	if unless {
		query += ` WHERE presences.node_id IN (SELECT id FROM nodes WHERE lease <= ` + s.clock() + `)`
	}
	err := inChunks(ids, 2, func(in string, args []any) error {
		_, err := s.write.ExecContext(ctx, fmt.Sprintf(query, in), append([]any{nodeID}, args...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("note daemons' arrival: %w", err)
	}
	return nil
}

// departed notes that the daemons are not connected to a node any more.
func (s *Store) departed(ctx context.Context, nodeID string, ids []string) error {
	err := inChunks(ids, 2, func(in string, args []any) error {
		_, err := s.write.ExecContext(ctx, `DELETE FROM presences WHERE node_id = $1 AND daemon_id IN (`+in+`)`, append([]any{nodeID}, args...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("note daemons' departure: %w", err)
	}
	return nil
}

// elsewhere returns those of the daemons that are connected to another living node.
func (s *Store) elsewhere(ctx context.Context, nodeID string, ids []string) ([]string, error) {
	return s.daemonIDs(ctx, ids, ` AND n.id <> $1 AND n.lease > `+s.clock(), nodeID)
}

// onlineOf returns those of the daemons that are connected to a living node.
func (s *Store) onlineOf(ctx context.Context, ids []string) ([]string, error) {
	return s.daemonIDs(ctx, ids, ` AND n.lease > `+s.clock())
}

// at lists the daemons that the store says are connected to a node.
func (s *Store) at(ctx context.Context, nodeID string, ids []string) ([]string, error) {
	return s.daemonIDs(ctx, ids, ` AND n.id = $1`, nodeID)
}

func (s *Store) daemonIDs(ctx context.Context, ids []string, and string, args ...any) (found []string, err error) {
	err = inChunks(ids, len(args)+1, func(in string, chunk []any) error {
		rows, err := s.read.QueryContext(ctx, `SELECT p.daemon_id FROM presences p JOIN nodes n ON n.id = p.node_id
			WHERE p.daemon_id IN (`+in+`)`+and, append(slices.Clone(args), chunk...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			found = append(found, id)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("look daemons' nodes up: %w", err)
	}
	return found, nil
}

// nodeOf returns the URL of the node that a daemon was last connected to, alive or not.
// ErrNotFound: it is connected to none, or that one drains.
func (s *Store) nodeOf(ctx context.Context, daemonID string) (url string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT n.url FROM presences p JOIN nodes n ON n.id = p.node_id
		WHERE p.daemon_id = $1 AND NOT n.draining`, daemonID).Scan(&url)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("look daemon's node up: %w", err)
	}
	return url, nil
}

// clock is an expression for the store's time in milliseconds.
func (s *Store) clock() string { return s.dialect.clock(s.now()) }
